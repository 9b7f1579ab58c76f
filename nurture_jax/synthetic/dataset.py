"""A folder of synthetic visits in the form of real ones, written in parts so that it can go on.

    DATASET/DATASET.json      says that it is synthetic; settings, versions, whether it is complete
    DATASET/visits.csv, annotations.json, videos/*.mp4     see records.py
    DATASET/unfinished/*.json what is known of finished videos; gone when the set is complete
"""
from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from deps_jax.common.files import sealed
from nurture_jax.measures import BODY_POINTS, CATEGORIES, REFERENCE_POINTS
from nurture_jax.records import annotations, visit_table
from nurture_jax.records.visits import DESCRIPTION
from nurture_jax.synthetic.bodies import ELLIPSOIDS
from nurture_jax.synthetic.video import write_video
from nurture_jax.synthetic.visit import (
    Settings,
    Visit,
    draw_visit,
    even_indices,
    marks,
    name_of,
    pictures,
    plan,
)
from nurture_jax.synthetic.world.dress import USUAL
from nurture_jax.synthetic.world.population import PRETERM_SHARE

FORMAT = 1  # raise it when the same settings give other pictures or labels
UNFINISHED = "unfinished"
Place = tuple[int, int]  # infant, and number of the visit from 1
ABOUT = ("Synthetic: rendered newborns of a made-up population, no person was filmed. Results on "
         "this data say nothing of accuracy on real newborns.")


@dataclasses.dataclass(frozen=True)
class Work:
    """What `write` did in this run.

    Attributes:
      visits, frames: Number of videos and of all their frames.
      wall_s, cpu_s: Time in seconds, by the clock and of the whole process's cores.
    """

    visits: int
    frames: int
    wall_s: float
    cpu_s: float


def write(folder: Path, settings: Settings, workers: int) -> Work | None:
    """Writes the data set, or what is missing of it; None when it was complete already.

    The result does not depend on the number of workers (threads).

    Raises:
      ValueError: If the folder holds anything else, or a set of other settings.
    """
    if _claim(folder, settings):
        return None
    visits = plan(settings)
    for name in ("videos", UNFINISHED):
        (folder / name).mkdir(exist_ok=True)
    missing = [visit for visit in visits if not _part(folder, *visit).is_file()]
    start, start_cpu = time.monotonic(), time.process_time()
    frames = _write_visits(folder, settings, missing, workers)
    work = Work(len(missing), frames, time.monotonic() - start, time.process_time() - start_cpu)
    _finish(folder, settings, visits)
    return work


def _write_visits(folder: Path, settings: Settings, missing: list[Place], workers: int) -> int:
    """Writes the videos and parts of some visits; returns the number of frames."""
    stop = threading.Event()
    frames = 0
    with ThreadPoolExecutor(workers) as pool, \
            tqdm(total=len(missing), desc="rendering", unit="video") as bar:
        try:
            # Threads: all visits share the compiled programs, and the work is done outside Python.
            for count in pool.map(lambda visit: _write_visit(folder, settings, visit, stop),
                                  missing):
                frames += count
                bar.update()
        except BaseException:  # also Ctrl-C: what runs ends after its frame
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return frames


def _write_visit(folder: Path, settings: Settings, place: Place, stop: threading.Event) -> int:
    """Writes the video and part of one visit; returns the number of frames."""
    visit = draw_visit(settings, *place)
    found = []
    write_video(folder / visit.row["video"],
                _shown(visit, even_indices(visit, settings.annotated_frames), found, stop),
                visit.scene.times_s, visit.end_s, rotation=visit.device.rotation,
                crf=visit.device.crf, colour_tag=visit.device.colour_tag)
    sealed.replace(_part(folder, *place), json.dumps(
        {"row": visit.row, "marks": found, "frames": len(visit.scene.times_s)}))
    return len(visit.scene.times_s)


def _shown(visit: Visit, annotated: list[int], found: list[dict], stop: threading.Event
           ) -> Iterator[np.ndarray]:
    """Yields the visit's pictures, [h, w, 3] uint8; marks of annotated ones are added to `found`.

    Raises:
      InterruptedError: If `stop` is set.
    """
    for k, (picture, ids, depth) in enumerate(pictures(visit)):
        if stop.is_set():
            raise InterruptedError
        if k in annotated:
            found.append(marks(visit, k, np.asarray(ids), np.asarray(depth)))
        yield np.asarray(picture)


def _claim(folder: Path, settings: Settings) -> bool:
    """Makes the folder or checks that it is of the same set; returns whether that is complete.

    Raises:
      ValueError: If the folder holds anything else, or a set of other settings.
    """
    about = {"format": FORMAT, "settings": json.loads(json.dumps(dataclasses.asdict(settings)))}
    path = folder / DESCRIPTION
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {folder} is a file; give a folder")
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise ValueError(f"--out {folder} holds other files and no {DESCRIPTION}; give a new "
                             f"or empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        _save(path, _about(about, complete=False))
        return False
    try:
        there = json.loads(path.read_text())
        # A set that was begun before a setting existed has its default.
        old = {"format": there["format"], "body": ELLIPSOIDS, "rulers": "30",
               "preterm": PRETERM_SHARE, "surroundings": USUAL, **there["settings"]}
        complete = there["complete"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); give a new folder") from error
    new = {"format": FORMAT, **about["settings"]}
    differing = [f"{name} is {old.get(name)!r} there and {value!r} now"
                 for name, value in new.items() if old.get(name) != value]
    if differing:
        raise ValueError(f"--out {folder} belongs to another synthetic set: "
                         f"{'; '.join(differing[:3])}; give a new folder, or the same settings to "
                         f"go on")
    return complete


def _about(about: dict, *, complete: bool, **more: int) -> dict:
    """What DATASET.json holds."""
    return {"about": ABOUT, "synthetic": True, "complete": complete, **about, **more,
            "versions": {name: version(name) for name in ("jax", "numpy", "av")}}


def _finish(folder: Path, settings: Settings, visits: list[Place]) -> None:
    """Writes table, annotations and the word that it is complete, out of the parts."""
    parts = [json.loads(_part(folder, *visit).read_text()) for visit in visits]
    for part in parts:
        # Written when there was no other kind.
        part["row"] = {"body": ELLIPSOIDS, "reference_cm": "30", **part["row"]}
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, visit_table.COLUMNS)
    writer.writeheader()
    writer.writerows(part["row"] for part in parts)
    sealed.replace(folder / visit_table.FILE, table.getvalue())
    _save(folder / annotations.FILE, coco([mark for part in parts for mark in part["marks"]]))
    about = {"format": FORMAT, "settings": dataclasses.asdict(settings)}
    _save(folder / DESCRIPTION, _about(about, complete=True, visits=len(parts),
                                frames=sum(part["frames"] for part in parts)))
    shutil.rmtree(folder / UNFINISHED)


def coco(found: list[dict]) -> dict:
    """annotations.json of the `visit.marks` of all annotated frames."""
    images, entries = [], []
    for image_id, mark in enumerate(found, start=1):
        images.append({"id": image_id, **mark["image"]})
        entries += [{"id": len(entries) + i, "image_id": image_id, **annotation}
                    for i, annotation in enumerate(mark["annotations"], start=1)]
    names = dict(zip(CATEGORIES, (BODY_POINTS, REFERENCE_POINTS), strict=True))
    categories = [{"id": i, "name": name, "keypoints": names[name]}
                  for i, name in enumerate(CATEGORIES, start=1)]
    return {"info": {"description": ABOUT}, "images": images, "categories": categories,
            "annotations": entries}


def _save(path: Path, content: dict) -> None:
    indent = 2 if path.name == DESCRIPTION else None
    sealed.replace(path, json.dumps(content, indent=indent) + "\n")


def _part(folder: Path, infant: int, number: int) -> Path:
    """The file that says what is known of a finished video."""
    return folder / UNFINISHED / f"{name_of(infant, number)}.json"


def time_rendering(settings: Settings, workers: int, frames: int) -> Work:
    """Renders `frames` frames for each worker, of infant 0, without encoding them."""
    visit = draw_visit(settings, 0, 1)
    jax.block_until_ready(next(pictures(visit)))  # compile
    again = [k % len(visit.scene.times_s) for k in range(frames)]
    start, start_cpu = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _: [np.asarray(picture) for picture, _, _ in pictures(visit, again)],
                      range(workers)))
    return Work(workers, workers * frames, time.monotonic() - start,
                time.process_time() - start_cpu)
