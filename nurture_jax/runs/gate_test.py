"""The gate of a run, tried on what it must refuse and on what it must let through.

    WORKDIR/gate_test/gate_test.md, gate_test.json

Clips are made anew, so that none was trained on: drawn and rendered ones with other random numbers
than the training's, pictures and videos out of a folder of the user's. Newborns are those of the
test split. Start at `try_gate`.
"""
from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deps_jax.common.command.page import markdown_cell
from deps_jax.common.files import sealed
from nurture_jax.clinic.checks import NEEDED, failing
from nurture_jax.clinic.recording_gate import Gate, inspect
from nurture_jax.clips import negatives, textures
from nurture_jax.clips.clip_batches import ClipSource
from nurture_jax.clips.panning import film, read_picture
from nurture_jax.measures import LABELS, TABULAR
from nurture_jax.records import negatives as folders
from nurture_jax.records.video import VideoError, sample_clip
from nurture_jax.records.visit import Visit
from nurture_jax.runs import calibration
from nurture_jax.runs.calibration import Calibration
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.synthetic import negatives as rendered
from nurture_jax.synthetic.visit import Settings, even_indices
from nurture_jax.training import run_data

OUT = "gate_test"
BATCH = 16
SEED = 1  # rendered newborns of the demo have 0
NEWBORN, NO_NEWBORN, NO_RULER = "newborns", "no newborn", "newborn, no whole ruler"
PICTURE_CHECKS = ("too_short", "too_dark", "too_bright", "too_blurred")  # need no network
TOLD_CHECKS = ("reference_length_new", "reference_wrongly_told")  # need what was told of a visit
CHECKS = tuple(dict.fromkeys((*PICTURE_CHECKS, *NEEDED, *TOLD_CHECKS)))
_LONG_S = 3.0  # duration of a clip that is made and has none
# Frames [t, h, w, 3] uint8, duration in s, and of whom, where anybody was told of.
Clips = Iterator[tuple[np.ndarray, float, Visit | None]]


@dataclasses.dataclass(frozen=True)
class Tried:
    """What the gate said of clips of one kind.

    Attributes:
      name: What they show.
      group: NEWBORN, NO_NEWBORN or NO_RULER.
      gates: What it found of each.
      failing: The checks that each fails, looked at alone.
    """

    name: str
    group: str
    gates: tuple[Gate, ...]
    failing: tuple[frozenset[str], ...]

    def share(self, check: str, *, alone: bool = False) -> float:
        """Share of the clips that a check refuses, or that no other one does."""
        return float(np.mean([found == {check} if alone else check in found
                              for found in self.failing]))

    @property
    def accepted(self) -> float:
        """Share of the clips that the gate lets through."""
        return float(np.mean([gate.accepted for gate in self.gates]))


def try_gate(workdir: str | Path, *, clips: int = 100, photos: str = "", rendered_clips: int = 0,
              kinds: Sequence[str] = (), data_dir: str = "") -> list[Tried]:
    """Tries the gate of an evaluated run and writes what it said.

    Args:
      workdir: Folder of the run.
      clips: Number of clips of each kind that is drawn, and of each kind of picture in `photos`.
      photos: Folder of pictures and videos without a newborn, see `records.negatives`.
      rendered_clips: Number of rendered clips of each kind; 0 renders none.
      kinds: Kinds that are drawn or rendered; empty is all.
      data_dir: Folder of the data set where it has moved.

    Raises:
      ValueError: If the run was not evaluated, a kind is unknown, or the folder cannot be used.
    """
    known = (*negatives.MADE, *rendered.KINDS)
    if unknown := [kind for kind in kinds if kind not in known]:
        raise ValueError(f"--kinds holds {unknown[0]!r}; it takes {', '.join(known)}")
    if clips < 1 or rendered_clips < 0:
        raise ValueError(f"--clips {clips} must be 1 or more and --rendered {rendered_clips} 0 or "
                         f"more")
    workdir = Path(workdir)
    own = folders.read(photos) if photos else None
    trained, calibrated = TrainedNurture.open(workdir), calibration.load(workdir)
    calibrated.check(trained.sha256, workdir)
    data = dataclasses.replace(trained.experiment.data,
                               dir=data_dir or trained.experiment.data.dir)
    test = run_data.open_data(data, workdir)[1]["test"]
    sets = [*_newborns(test), *_made(test, clips, kinds or known),
            *_rendered(data, rendered_clips, kinds or known), *_files(own, data, clips)]
    tried = [_look(trained, calibrated, *each) for each in tqdm(sets, desc="trying", leave=False)]
    folder = workdir / OUT
    folder.mkdir(exist_ok=True)
    sealed.replace(folder / "gate_test.json", json.dumps(_plain(tried, calibrated), indent=1))
    sealed.replace(folder / "gate_test.md", table(tried, calibrated) + "\n")
    return tried


def _newborns(test: ClipSource) -> Iterator[tuple[str, str, Clips]]:
    """The recordings of the test split by what the newborns are made of."""
    rows = collections.defaultdict(list)
    for row, visit in enumerate(test.cache.records.visits):
        rows[visit.body].append(row)
    for body, chosen in sorted(rows.items()):
        clips = ((test.cache[row], test.cache.records.visits[row]) for row in chosen)
        yield f"test split {body}".strip(), NEWBORN, ((clip.images, clip.duration_s, visit)
                                                     for clip, visit in clips)


def _made(test: ClipSource, count: int, kinds: Sequence[str]) -> Iterator[tuple[str, str, Clips]]:
    """Kinds that need no file; what is cut out of clips is cut out of those of the test split."""
    frames, size = test.cache.settings.frames, test.cache.settings.size
    exact = dataclasses.replace(test, exact=True)
    rng = np.random.default_rng(SEED)
    any_clip = lambda: exact[int(rng.integers(len(exact)))]
    makers = {
        **{name: lambda draw=draw: film(rng, draw(rng, round(negatives.CANVAS * size)), frames,
                                        size) for name, draw in textures.KINDS.items()},
        negatives.PIECES: lambda: negatives.pieces(rng, any_clip())["frames"],
        negatives.CUT: lambda: negatives.cut(rng, any_clip(), test.mask_stride)["frames"]}
    for name, make in makers.items():
        if name in kinds:
            yield (name, NO_RULER if name == negatives.CUT else NO_NEWBORN,
                   _times(count, lambda _, make=make: (make(), _LONG_S, None)))


def _times(count: int, make: Callable[[int], tuple[np.ndarray, float, None]]) -> Clips:
    """Clips `make(0)` and so on, made when they are asked for."""
    yield from map(make, range(count))


def middle_square(pictures: np.ndarray) -> np.ndarray:
    """The middle of upright pictures: [t, h, w, 3] -> [t, w, w, 3]."""
    tall, side = pictures.shape[1:3]
    top = (tall - side) // 2
    return pictures[:, top:top + side]


def _rendered(data: run_data.Data, count: int, kinds: Sequence[str]
              ) -> Iterator[tuple[str, str, Clips]]:
    """Rendered recordings of each kind, not encoded."""
    settings = Settings(infants=1, seconds=2.4, fps=6.0, seed=SEED,
                        short_sides_px=(2 * round(max(data.size, 64) / 2),))

    def clip(kind: str, index: int) -> tuple[np.ndarray, float, None]:
        recording = rendered.draw_recording(settings, kind, index)
        shown = even_indices(recording.visit, data.frames)
        pictures = np.stack([picture for picture, _, _ in recording.frames(shown)])
        return middle_square(pictures), recording.visit.end_s, None

    for kind in rendered.KINDS if count else ():
        if kind in kinds:
            yield (f"rendered {kind}", NO_RULER if kind == rendered.NO_RULER else NO_NEWBORN,
                   _times(count, partial(clip, kind)))


def _files(found: folders.Negatives | None, data: run_data.Data, count: int
           ) -> Iterator[tuple[str, str, Clips]]:
    """What the user's folder holds: each video as it is, pictures panned and zoomed."""
    rng = np.random.default_rng(SEED)
    for kind, paths in (found.pictures if found else {}).items():
        pictures = [read_picture(path, data.size) for path in paths]
        make = lambda i, of=pictures: (film(rng, of[i % len(of)], data.frames, data.size), _LONG_S,
                                    None)
        yield f"pictures {kind}", NO_NEWBORN, _times(max(count, len(pictures)), make)
    for visit in found.videos.visits if found else ():
        try:
            clip = sample_clip(found.videos.folder / visit.video, data.frames, data.size,
                               fit=data.fit, minimum_s=data.minimum_s)
        except VideoError:
            continue
        yield f"video {visit.video}", NO_NEWBORN, iter([(clip.images, clip.duration_s, None)])


def _look(trained: TrainedNurture, calibrated: Calibration, name: str, group: str, clips: Clips
          ) -> Tried:
    """What the gate says of clips."""
    gates, waiting = [], iter(clips)
    scale = calibrated.scale_of(trained.model.scaling.reference_cm)
    while some := list(islice(waiting, BATCH)):
        frames = np.stack([images for images, *_ in some])
        found = trained.observe(_batch(frames))
        for row, (images, duration_s, visit) in enumerate(some):
            seen = {part: found[part][row] for part in found}
            gates.append(inspect(
                images, duration_s, seen.get("shares"), seen.get("keypoints"), calibrated.limits,
                fit=trained.experiment.data.fit, features=seen.get("features"),
                familiarity=calibrated.familiarity, scale=scale, visit=visit))
    return Tried(name, group, tuple(gates), tuple(
        frozenset(failing(gate.measured, calibrated.limits, gate.limit_unfamiliarity, scale))
        for gate in gates))


def _batch(frames: np.ndarray) -> dict[str, np.ndarray]:
    """A batch of which nothing but the frames is known, padded to BATCH."""
    count = len(frames)
    rows = np.zeros((BATCH, *frames.shape[1:]), np.uint8)
    rows[:count] = frames
    nothing = {f"{name}{end}": np.zeros((BATCH, len(columns)), np.float32)
               for name, columns in (("tabular", TABULAR), ("labels", LABELS))
               for end in ("", "_mask")}
    return {"frames": rows, **nothing, "reference_cm": np.zeros(BATCH, np.float32),
            "example_mask": (np.arange(BATCH) < count).astype(np.float32)}


def table(tried: Sequence[Tried], calibrated: Calibration) -> str:
    """Two tables as Markdown: by what was shown, and by check (the ablation of each)."""
    percent = lambda value: f"{100 * value:.1f} %"
    lines = ["| shown | clips | accepted | baby not found | no reference object | unfamiliar |",
             "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {markdown_cell(each.name)} ({each.group}) | {len(each.gates)} | " + " | ".join(
        percent(value) for value in (each.accepted, *map(each.share, (
            "newborn_not_found", "reference_not_seen", "unfamiliar")))) + " |" for each in tried]
    groups = [group for group in (NEWBORN, NO_NEWBORN, NO_RULER)
              if any(each.group == group for each in tried)]
    joined = {group: Tried(group, group, *(
        tuple(one for each in tried if each.group == group for one in getattr(each, part))
        for part in ("gates", "failing"))) for group in groups}
    lines += ["", "| check | " + " | ".join(
        f"{group}: refused, by it alone" for group in groups) + " |",
        "| --- |" + " --- |" * len(groups)]
    said = lambda group, check: "not told" if check in TOLD_CHECKS and group != NEWBORN else (
        f"{percent(joined[group].share(check))}, {percent(joined[group].share(check, alone=True))}")
    lines += [f"| {check} | " + " | ".join(said(group, check) for group in groups) + " |"
              for check in CHECKS]
    lines.append("| accepted by all | " + " | ".join(
        f"{percent(joined[group].accepted)} of {len(joined[group].gates)}" for group in groups)
        + " |")
    if calibrated.familiarity:
        lines += ["", f"limit of the unfamiliarity: {calibrated.familiarity.limit:.3g}"]
    return "\n".join(lines)


def _plain(tried: Sequence[Tried], calibrated: Calibration) -> Mapping[str, object]:
    """All that was measured, for files."""
    return {"model_sha256": calibrated.model_sha256,
            "limits": {**dataclasses.asdict(calibrated.limits),
                       "unfamiliarity": calibrated.familiarity and calibrated.familiarity.limit},
            "tried": [{"name": each.name, "group": each.group, "clips": len(each.gates),
                       "accepted": each.accepted,
                       "refused": {check: each.share(check) for check in CHECKS},
                       "alone": {check: each.share(check, alone=True) for check in CHECKS},
                       "measured": [dict(gate.measured) for gate in each.gates]}
                      for each in tried]}
