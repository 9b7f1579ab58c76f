"""Builds the page: a folder that any static server under HTTPS, or on localhost, can hold."""
from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from deps_jax.common.files import sealed
from nurture_jax.app.handed_over import handed_over
from nurture_jax.app.packages import CACHE, Package, licences, packages
from nurture_jax.app.serve import SAFETY, policy_of_the_page
from nurture_jax.deploy.file_model import read_card

PAGE = Path(__file__).parent / "page"
MODEL, CARD = "model.onnx", "card.json"
ICONS_PX = (192, 512)  # what a browser asks for to install a page
BACK, LINE = (92, 84, 15), (255, 255, 255)  # BGR
NOT_CACHED = ("sw.mjs", "files.mjs")  # a browser keeps the service worker by itself


def build(model: str | Path, out: str | Path, *, cache: Path = CACHE) -> dict[str, int]:
    """Builds the page of an exported network.

    Args:
      model: The exported file; its card lies beside it under the same name with .json.
      out: Folder to make; what an earlier build made there is replaced.
      cache: Where fetched packages are kept.

    Returns:
      Bytes of every file of the page, by name.

    Raises:
      ValueError: If the model or its card cannot be used, packages cannot be fetched, or `out`
        holds something else than a page.
    """
    model, out = Path(model), Path(out)
    card = read_card(model)
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and \
            not (out / "files.mjs").is_file():
        raise ValueError(f"{out} is not empty and holds no page; give another folder")
    found = packages(cache)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=out.parent))
    try:
        with sealed.told_if_full(out):
            _fill(part, model, card, found)
        if out.exists():
            shutil.rmtree(out)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return {_name(path, out): path.stat().st_size for path in _all(out)}


def _fill(part: Path, model: Path, card: dict, found: Sequence[Package]) -> None:
    """Writes all files of a page into an empty folder."""
    shutil.copytree(PAGE, part, dirs_exist_ok=True)
    (part / "libraries").mkdir()
    for package in found:
        for name, path in package.files.items():
            shutil.copy(path, part / "libraries" / name)
    shutil.copy(model, part / MODEL)
    _write(part / CARD, json.dumps(card))
    _write(part / "handed_over.json", json.dumps(handed_over()))
    _write(part / "licences.txt", licences(found))
    html = (part / "index.html").read_text(encoding="utf-8")
    _write(part / "index.html", html.replace("{policy}", policy_of_the_page()))
    for side in ICONS_PX:
        (part / f"icon_{side}.png").write_bytes(cv2.imencode(".png", icon(side))[1].tobytes())
    _write(part / "files.mjs", _files(part))
    part.chmod(0o755)


def icon(side: int) -> np.ndarray:
    """A growth curve on a plain ground, [side, side, 3] uint8 BGR, with room for any mask."""
    picture = np.full((side, side, 3), BACK, np.uint8)
    x = np.linspace(0.24, 0.76, 40)
    for lift, width in ((0.0, 0.022), (0.13, 0.045), (0.26, 0.022)):
        y = 0.78 - lift - 0.36 * np.sqrt((x - 0.24) / 0.52)
        points = np.round(np.stack([x, y], 1) * side * 16).astype(np.int32)
        cv2.polylines(picture, [points], False, LINE, max(round(width * side), 1), cv2.LINE_AA, 4)
    return picture


def _files(folder: Path) -> str:
    """What the service worker keeps, a hash of all by which it sees a change, what it sends."""
    names = {_name(path, folder): path for path in _all(folder)}
    digest = hashlib.sha256()
    for name, path in names.items():
        digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    kept = ["./", *(name for name in names if name not in NOT_CACHED)]
    return (f"export const VERSION = {json.dumps(digest.hexdigest()[:16])};\n"
            f"export const FILES = {json.dumps(kept)};\n"
            f"export const SAFETY = {json.dumps(SAFETY)};\n")


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
