"""What a run is made of, visit by visit, so that a data set that has changed since is told from it.

    WORKDIR/data.json    {split: {visit: {"row", "arm", "video", "annotations"}}}, a digest of each

A row is what the network reads of it, inputs and labels: a site or a device may be mended. The arm
stands by itself, since older runs did not read it: what a run has not kept is not compared. Videos
are told apart by `clip_cache.fingerprint`, and where the files lie does not count. Digests stand
there and no values, so that nothing of an infant is in the folder but its id.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from deps_jax.common.files import workdir
from deps_jax.common.files.sealed import tell
from nurture_jax.clips.clip_cache import fingerprint, fingerprints
from nurture_jax.measures import ARM, FORMER_LABELS, TABULAR
from nurture_jax.records import annotations, splits, visit_table
from nurture_jax.records.visit import Visit
from nurture_jax.records.visits import Records

FILE = "data.json"
MAKING = ("train", "validation")  # splits that weights, constants and their choice come from
SHOWN = 3
_HAS_ANOTHER = {"row": f"another row in {visit_table.FILE}",
                "arm": f"another {ARM.name} in {visit_table.FILE}", "video": "another video",
                "annotations": f"other annotations in {annotations.FILE}"}


def describe(parts: Mapping[str, Records]) -> dict[str, dict[str, dict[str, str]]]:
    """The content of `data.json` for these splits.

    Raises:
      ValueError: If a video is gone since the records were read.
    """
    return {name: {visit.key: {"row": _row(visit), "arm": _digest([visit.arm_cm]), "video": video,
                               "annotations": _drawn(visit)}
                   for visit, video in zip(part.visits, fingerprints(part), strict=True)}
            for name, part in parts.items()}


def check(parts: Mapping[str, Records], folder: Path) -> None:
    """Compares the splits of a data set with what the run in `folder` was made of.

    What has changed in a split that only measures is told, and so is that a run of an older
    version cannot be compared.

    Raises:
      ValueError: If a split that the weights come from has changed, naming the first changes; or as
        `workdir.read`.
    """
    before = workdir.read(folder, FILE)
    if before is None:
        tell(f"{folder} is of an older version: whether its data set has changed since cannot be "
             f"told")
        return
    now = describe(parts)
    changed = {name: changes(before.get(name, {}), now.get(name, {}))
               for name in (*before, *(name for name in now if name not in before))}
    where = next(iter(parts.values())).folder
    if making := _sentence({name: changed[name] for name in changed if name in MAKING}):
        raise ValueError(f"{where} is not what the run in {folder} was made of: {making}; put the "
                         f"data set back as it was, or train anew in another --workdir")
    if measuring := _sentence({name: changed[name] for name in changed if name not in MAKING}):
        tell(f"{where} has changed since the run in {folder} was begun, in visits that trained "
             f"nothing: {measuring}")


def is_of(data_dir: Path, folder: Path) -> bool:
    """Whether a data set is the one that the run in `folder` was made of, moved or changed.

    It is if they have a video in common; a run of an older version is asked for an infant. Infants
    of other places may have the same ids.
    """
    rows, _ = visit_table.read(Path(data_dir))
    before = workdir.read(folder, FILE)
    if not rows:
        return True  # nobody's; what is wrong with it is told where it is opened
    if before is None:
        kept = {infant for part in splits.infants(folder).values() for infant in part}
        return any(row["infant_id"] in kept for _, row in rows)
    videos = {visit["video"] for part in before.values() for visit in part.values()}
    paths = (Path(data_dir) / row["video"] for _, row in rows)
    return any(fingerprint(path) in videos for path in paths if path.is_file())


def changes(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
            ) -> list[str]:
    """What is different, one text for each visit: its key and words that follow it."""
    found = []
    for key in sorted({*before, *now}):
        if key not in now:
            found.append(f"{key} is gone or has no usable video")
        elif key not in before:
            found.append(f"{key} is new")
        elif different := [_HAS_ANOTHER[part] for part in _HAS_ANOTHER
                           if part in before[key] and before[key][part] != now[key][part]]:
            found.append(f"{key} has {' and '.join(different)}")
    return found


def _sentence(changed: Mapping[str, list[str]]) -> str:
    """The first changes of all splits, or nothing."""
    lines = [f"{name}: {line}" for name, found in changed.items() for line in found]
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "; ".join(lines[:SHOWN] + more)


def _row(visit: Visit) -> str:
    """Digest of what the network reads of the visit's row, but for the arm."""
    # A table without reference objects has the digests it had before there was this column.
    told = [] if visit.reference_cm is None else [visit.reference_cm]
    return _digest([getattr(visit, name) for name in (*TABULAR, *FORMER_LABELS)] + told)


def _drawn(visit: Visit) -> str:
    """Digest of the annotated frames; times to a millisecond, as frames are found by them."""
    return _digest([[round(frame.time_s, 3), frame.width, frame.height, frame.segments,
                     frame.keypoints] for frame in visit.frames])


def _digest(content: list) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
