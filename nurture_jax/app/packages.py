"""The JavaScript packages of the page: fetched once by npm, checked against the lock file's hashes.

They are fetched when a page is built, never when it runs; what a page carries is SHIPPED.
"""
from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
LOCK = HERE / "package-lock.json"
SHIPPED = {
    "onnxruntime-web": ("dist/ort.wasm.min.mjs", "dist/ort-wasm-simd-threaded.mjs",
                        "dist/ort-wasm-simd-threaded.wasm"),
    "mediabunny": ("dist/bundles/mediabunny.min.mjs",),
    "qrcode-generator": ("dist/qrcode.mjs",),
}
# What is within the file of another package: onnxruntime-web is built of these.
WITHIN = ("onnxruntime-common",)
CACHE = Path.home() / ".cache" / "deps_jax" / "page"
LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "license")


@dataclasses.dataclass(frozen=True)
class Package:
    """A package whose files a page carries.

    Attributes:
      name, version: Of the package.
      licence: Its SPDX name.
      text: Text of the licence, "" where the package names it only.
      files: The files, by their names within the page's `libraries` folder.
    """

    name: str
    version: str
    licence: str
    text: str
    files: dict[str, Path]


def packages(cache: Path = CACHE) -> list[Package]:
    """The packages of the page, fetched where they are not in `cache` yet.

    Raises:
      ValueError: If npm is not installed, or cannot fetch them.
    """
    modules = _fetched(cache)
    return [_package(modules / name, SHIPPED.get(name, ())) for name in (*SHIPPED, *WITHIN)]


def licences(found: list[Package]) -> str:
    """A text that names every package with its licence."""
    parts = ["What this page carries of others, unchanged, each under its licence."]
    parts += [f"{each.name} {each.version}: {each.licence}\n{each.text}".strip() for each in found]
    return "\n\n----\n\n".join(parts) + "\n"


def _package(folder: Path, files: tuple[str, ...]) -> Package:
    about = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    text = next((path.read_text(encoding="utf-8") for name in LICENCES
                 if (path := folder / name).is_file()), "")
    return Package(about["name"], about["version"], about["license"], text,
                   {Path(name).name: folder / name for name in files})


def _fetched(cache: Path) -> Path:
    """The folder of the packages of the lock file; npm compares their hashes."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    folder = cache / digest
    if (folder / "node_modules").is_dir():
        return folder / "node_modules"
    npm = shutil.which("npm")
    if not npm:
        raise ValueError("npm is not installed, which fetches the packages of the page; install "
                         "Node.js with npm (Debian: apt-get install npm)")
    cache.mkdir(parents=True, exist_ok=True)
    # Beside its place and then moved, so that a fetch that breaks off leaves nothing.
    part = Path(tempfile.mkdtemp(dir=cache))
    try:
        for name in ("package.json", LOCK.name):
            shutil.copy(HERE / name, part)
        result = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=part, capture_output=True, text=True, check=False)
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ValueError(f"npm could not fetch the packages of the page ({last}); connect this "
                             f"machine to the registry of npm once")
        try:
            os.replace(part, folder)
        except OSError:  # another process was faster
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder / "node_modules"
