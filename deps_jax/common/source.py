"""Which state of the code made a result."""
from __future__ import annotations

import subprocess
from pathlib import Path


def git_commit() -> str:
    """The commit of this code, with "+" where files were changed since; "" outside git."""
    folder = Path(__file__).parent
    run = lambda *arguments: subprocess.run(["git", "-C", str(folder), *arguments],
                                            capture_output=True, text=True, check=False)
    try:
        commit = run("rev-parse", "HEAD")
        changed = run("status", "--porcelain", "--untracked-files=no")
    except OSError:  # no git here
        return ""
    return "" if commit.returncode else commit.stdout.strip() + "+" * bool(changed.stdout)
