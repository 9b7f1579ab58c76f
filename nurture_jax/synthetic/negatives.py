"""Rendered recordings that must be refused, each kind in a folder of its own.

    DATASET/negatives/KIND/*.mp4          KIND is one of KINDS
    DATASET/negatives/annotations.json    the rulers in them, and newborns without a ruler

Cloths, rulers, lights and phones are those of the newborns. `training` reads the folder.
"""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deps_jax.common.files import sealed
from nurture_jax.measures import NEWBORN, REFERENCE
from nurture_jax.records import annotations
from nurture_jax.records.negatives import UNFINISHED
from nurture_jax.synthetic.dataset import coco
from nurture_jax.synthetic.objects import things
from nurture_jax.synthetic.video import write_video
from nurture_jax.synthetic.visit import (
    Settings,
    Visit,
    draw_visit,
    even_indices,
    marks,
    pictures,
)
from nurture_jax.synthetic.world.dress import draw_colour, linear
from nurture_jax.synthetic.world.population import generator

FOLDER = "negatives"
TWO_RULERS, NO_RULER = "two_rulers", "no_ruler"
KINDS = (*things.KINDS, TWO_RULERS, NO_RULER)
RULER_SHOWN = 0.6  # of the things; a ruler alone is no newborn
_STREAM = 7  # of random numbers: infants take the numbers of their visits


@dataclasses.dataclass(frozen=True)
class Recording:
    """A rendered recording before it is written.

    Attributes:
      visit: What is filmed.
      other: The same scene with its ruler elsewhere, which is shown beside the first; or None.
      newborn: Whether there is a newborn.
    """

    visit: Visit
    other: Visit | None
    newborn: bool

    def frames(self, indices: list[int] | None = None
               ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields picture [h, w, 3], categories and depth, [h, w] each, of all frames or some."""
        second = iter(()) if self.other is None else pictures(self.other, indices)
        for picture, ids, depth in pictures(self.visit, indices):
            picture, ids, depth = np.array(picture), np.array(ids), np.asarray(depth)
            if (more := next(second, None)) is not None:
                there = np.asarray(more[1]) == REFERENCE
                picture[there], ids[there] = np.asarray(more[0])[there], REFERENCE
            if not self.newborn:
                ids[ids == NEWBORN] = 0
            yield picture, ids, depth


def draw_recording(settings: Settings, kind: str, index: int) -> Recording:
    """Recording `index` of a kind; nothing of it is in the settings' own data set."""
    # The infants after those of the data set.
    visit = lambda ruler, place=None: draw_visit(dataclasses.replace(settings, ruler=ruler),
                                                settings.infants + index, 1, place)
    if kind == NO_RULER:
        return Recording(_named(visit(False), kind, index), None, newborn=True)
    rng = generator(settings.seed, settings.infants + index, _STREAM, KINDS.index(kind))
    made = things.KINDS.get(kind) or list(things.KINDS.values())[rng.integers(len(things.KINDS))]
    ruler = kind == TWO_RULERS or rng.random() < RULER_SHOWN
    length = rng.uniform(42, 56)
    drawn = []
    draw = lambda pose: drawn.append(made(rng, length, pose)) or drawn[-1]
    found = visit(ruler, draw)
    if not drawn[-1].skinned:
        colour = linear(draw_colour(rng, 0.05, 0.8, 0.1, 1.0)).astype(np.float32)
        look = found.scene.look._replace(skin=colour, blush=colour * np.float32(0.9))
        found = dataclasses.replace(found, scene=dataclasses.replace(found.scene, look=look))
    other = None
    if kind == TWO_RULERS:
        look = found.scene.look
        moved = look._replace(
            ruler_centre=look.ruler_centre * np.float32([rng.choice([-1.0, 0.4]), 1])
            + rng.normal(0, 3, 2).astype(np.float32))
        other = dataclasses.replace(found, scene=dataclasses.replace(found.scene, look=moved))
    return Recording(_named(found, kind, index), other, newborn=False)


def write_negatives(folder: Path, settings: Settings, count: int, workers: int) -> int:
    """Writes `count` recordings of each kind, or what is missing of them.

    Args:
      folder: Folder of the data set.
      workers: Number of threads.

    Returns:
      Number of recordings that were written.
    """
    folder = Path(folder) / FOLDER
    wanted = [(kind, index) for kind in KINDS for index in range(count)]
    parts = {place: folder / UNFINISHED / f"{place[0]}_{place[1]:05d}.json" for place in wanted}
    if (folder / annotations.FILE).is_file():
        return 0
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
    (folder / UNFINISHED).mkdir(exist_ok=True)
    missing = [place for place in wanted if not parts[place].is_file()]

    def write(place: tuple[str, int]) -> None:
        sealed.replace(parts[place], json.dumps(_write(folder, settings, *place)))

    with ThreadPoolExecutor(workers) as pool, tqdm(
            total=len(missing), desc="rendering what is refused", unit="video") as bar:
        try:
            for _ in pool.map(write, missing):
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    found = [mark for place in wanted for mark in json.loads(parts[place].read_text())]
    sealed.replace(folder / annotations.FILE, json.dumps(coco(found)) + "\n")
    for part in parts.values():
        part.unlink()
    (folder / UNFINISHED).rmdir()
    return len(missing)


def _write(folder: Path, settings: Settings, kind: str, index: int) -> list[dict]:
    """Writes one video; returns what is marked on its annotated frames."""
    recording = draw_recording(settings, kind, index)
    visit, found = recording.visit, []
    annotated = even_indices(visit, settings.annotated_frames)

    def shown() -> Iterator[np.ndarray]:
        for k, (picture, ids, depth) in enumerate(recording.frames()):
            if k in annotated:
                found.append(_marks(recording, k, ids, depth))
            yield picture

    write_video(folder / visit.row["video"], shown(), visit.scene.times_s, visit.end_s,
                rotation=visit.device.rotation, crf=visit.device.crf,
                colour_tag=visit.device.colour_tag)
    return found


def _marks(recording: Recording, index: int, ids: np.ndarray, depth: np.ndarray) -> dict:
    """`visit.marks`; of two rulers no end is marked, as neither is the one to go by."""
    found = marks(recording.visit, index, ids, depth)
    for mark in found["annotations"] if recording.other else ():
        mark["keypoints"] = [0] * len(mark["keypoints"])
        mark["num_keypoints"] = 0
    return found


def _named(visit: Visit, kind: str, index: int) -> Visit:
    return dataclasses.replace(visit, row={"video": f"{_name(kind, index)}.mp4"})


def _name(kind: str, index: int) -> str:
    return f"{kind}/{kind}_{index:05d}"
