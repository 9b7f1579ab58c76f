"""Which state of the code made a result."""
from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]  # of a checkout; of an installed copy, site-packages


def package_version() -> str:
    """Version of the installed package; "" where the code is run without being installed."""
    try:
        return metadata.version("deps-jax")
    except metadata.PackageNotFoundError:
        return ""


def git_commit() -> str:
    """The commit of this code, with "+" where files were changed since.

    It is "" outside git, and for a copy that was installed somewhere inside another repository:
    that one's commit says nothing of this code.
    """
    run = lambda *arguments: subprocess.run(["git", "-C", str(ROOT), *arguments],
                                            capture_output=True, text=True, check=False)
    try:
        found = run("rev-parse", "--show-toplevel", "HEAD")
        changed = run("status", "--porcelain", "--untracked-files=no")
    except OSError:  # no git here
        return ""
    if found.returncode:
        return ""
    top, commit = found.stdout.splitlines()
    if Path(top).resolve() != ROOT:
        return ""
    return f"{commit}+" if changed.stdout else commit
