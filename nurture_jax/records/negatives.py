"""Recordings that show no newborn, or no reference object: a folder of videos and pictures.

    FOLDER/KIND/*.mp4, *.jpg, ...   any names; files of FOLDER itself are of the kind "others"
    FOLDER/annotations.json         reference objects and newborns in some of the videos, in the
                                    form of a data set's; a video that is not in it shows neither
"""
from __future__ import annotations

import dataclasses
from pathlib import Path

from nurture_jax.records import annotations
from nurture_jax.records.problems import many
from nurture_jax.records.video import MINIMUM_S
from nurture_jax.records.video_file import SUFFIXES
from nurture_jax.records.visit import Visit
from nurture_jax.records.visits import Records, place_all, probe_all

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
UNFINISHED = "unfinished"  # of a rendered set that is being written
OTHERS = "others"  # of files that lie in no folder of a kind


@dataclasses.dataclass(frozen=True)
class Negatives:
    """What a folder holds.

    Attributes:
      videos: The videos as visits without labels; the kind stands in the place of the infant.
      pictures: Paths of the pictures by kind.
    """

    videos: Records
    pictures: dict[str, tuple[Path, ...]]


def read(folder: str | Path, minimum_s: float = MINIMUM_S) -> Negatives:
    """The recordings of a folder; videos are opened, not decoded, and those that fail left out.

    Raises:
      ValueError: If there is no such folder, nothing in it, or its annotations are damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"data.negatives {folder} is no folder; give one of videos and pictures "
                         f"that show no newborn")
    if (folder / UNFINISHED).is_dir():
        raise ValueError(f"{folder} was not written to its end; give the command that writes it "
                         f"once more")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    pictures: dict[str, tuple[Path, ...]] = {}
    for path in files:
        if path.suffix.lower() in PICTURES:
            kind = _kind(folder, path)
            pictures[kind] = (*pictures.get(kind, ()), path)
    names = [path.relative_to(folder).as_posix() for path in files
             if path.suffix.lower() in SUFFIXES]
    frames, problems = annotations.read(folder)
    seen, visits = probe_all(folder, names, minimum_s), []
    for name in names:
        if isinstance(seen[name], ValueError):
            continue
        placed, found = place_all(frames.get(name, ()), seen[name], name)
        problems += found
        visits.append(Visit(_kind(folder, folder / name), name, name, frames=placed))
    if problems:
        raise ValueError(f"{folder} has annotations that cannot be used:\n{many(problems, 20)}")
    if not visits and not pictures:
        raise ValueError(f"data.negatives {folder} holds no video and no picture; it takes "
                         f"{', '.join(SUFFIXES + PICTURES)}")
    return Negatives(Records(folder, tuple(visits)), pictures)


def _kind(folder: Path, path: Path) -> str:
    """The name of the folder in `folder` that the file lies in."""
    inside = path.relative_to(folder).parts
    return inside[0] if len(inside) > 1 else OTHERS
