"""Visits of newborns: one video and one row each, checked before anything is trained on them.

    DATASET/visits.csv        one row a visit (visit_table.py)
    DATASET/annotations.json  masks and keypoints of some frames, may be missing (annotations.py)
    DATASET/videos/*.mp4
    DATASET/DATASET.json      what the set is, may be missing

Start with `load`; `validate` tells everything that is wrong at once.
"""
from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from nurture_jax import annotations, visit_table
from nurture_jax.annotations import Frame
from nurture_jax.problems import LeftOut, Problem, many
from nurture_jax.video import MINIMUM_S, VideoError, VideoInfo, probe

LABELS = ("weight_g", "length_cm", "head_cm", "chest_cm", "arm_cm")
DESCRIPTION = "DATASET.json"  # may be missing; of a rendered set it says "synthetic": true
REFUSED_REASONS = ("missing", "picture")  # a wrong table; other bad videos are only left out


@dataclasses.dataclass(frozen=True)
class Visit:
    """One video with what is known of the infant; None (or "" for text) where it is not."""

    infant_id: str
    visit_id: str
    video: str
    age_days: float | None = None
    sex: str = ""
    gestational_age_days: float | None = None
    birth_weight_g: float | None = None
    site: str = ""
    device: str = ""
    weight_g: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None
    arm_cm: float | None = None
    frames: tuple[Frame, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.infant_id}/{self.visit_id}"


@dataclasses.dataclass(frozen=True)
class Report:
    """What `validate` found.

    Attributes:
      eligible: visits in the table.
      visits: those that can be used.
      left_out: those whose video cannot be used.
      problems: what has to be mended first; with any of them the data set is refused.
    """

    folder: Path
    eligible: int
    visits: tuple[Visit, ...]
    left_out: tuple[LeftOut, ...]
    problems: tuple[Problem, ...]

    def flow(self) -> dict[str, int]:
        """Counts for a flow chart: eligible, usable, and left out by reason."""
        reasons = collections.Counter(visit.reason for visit in self.left_out)
        return {"eligible": self.eligible, "usable": len(self.visits),
                **{f"left_out_{reason}": count for reason, count in sorted(reasons.items())}}

    def __str__(self) -> str:
        flow = self.flow()
        lines = [f"{self.folder}: {flow['usable']} of {flow['eligible']} visits can be used"]
        if self.left_out:
            lines += ["left out:"] + [f"  {out.visit}: {out.sentence}" for out in self.left_out]
        if self.problems:
            lines += [f"{_count(self.problems)}:", many(self.problems)]
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Records:
    """The usable visits of a folder, in the order of the table."""

    folder: Path
    visits: tuple[Visit, ...]
    left_out: tuple[LeftOut, ...] = ()

    def __len__(self) -> int:
        return len(self.visits)

    def of_infants(self, infants: Iterable[str]) -> Records:
        """Only the visits of these infants."""
        chosen = frozenset(infants)
        return dataclasses.replace(
            self, visits=tuple(visit for visit in self.visits if visit.infant_id in chosen))


def load(folder: str | Path, *, minimum_s: float = MINIMUM_S) -> Records:
    """The usable visits of a folder.

    Raises:
      ValueError: with every problem of the folder, when there is any.
    """
    report = validate(folder, minimum_s=minimum_s)
    if report.problems:
        raise ValueError(f"{report.folder} has {_count(report.problems)}; mend and try again:"
                         f"\n{many(report.problems)}")
    if not report.visits:
        raise ValueError(f"{report.folder} has no visit with a usable video; see validate()")
    return Records(report.folder, report.visits, report.left_out)


def is_synthetic(folder: str | Path) -> bool:
    """Whether the data set says of itself, in `DATASET.json`, that its recordings are rendered."""
    path = Path(folder) / DESCRIPTION
    return path.is_file() and bool(json.loads(path.read_text()).get("synthetic"))


def validate(folder: str | Path, *, minimum_s: float = MINIMUM_S) -> Report:
    """Looks at every row, annotation and video of a folder; videos are opened, not decoded."""
    folder = Path(folder)
    if not folder.is_dir():
        problem = Problem(str(folder), "is not a folder; give one that holds visits.csv")
        return Report(folder, 0, (), (), (problem,))
    rows, problems = visit_table.read(folder)
    frames, found = annotations.read(folder)
    problems += found
    videos = _probe_all(folder, [row["video"] for _, row in rows], minimum_s)
    visits, left_out = [], []
    for number, row in rows:
        video, seen = row["video"], videos[row["video"]]
        visit = Visit(**row)
        if isinstance(seen, VideoInfo):
            placed, found = _place_all(frames.get(video, ()), seen, video)
            problems += found
            visits.append(dataclasses.replace(visit, frames=placed))
        elif seen.reason in REFUSED_REASONS:
            problems.append(Problem(visit_table.FILE, f"cannot be used: {seen}", number, "video",
                                    video))
        else:
            left_out.append(LeftOut(visit.key, seen.reason, str(seen)))
    known = {row["video"] for _, row in rows}
    problems += [
        Problem(annotations.FILE, f"of image {image_id} is in no row of {visit_table.FILE}; add "
                                  f"the visit or remove the image", column="video", value=video)
        for video, group in frames.items() if video not in known for image_id, _ in group]
    return Report(folder, len(rows), tuple(visits), tuple(left_out), tuple(problems))


def _count(problems) -> str:
    return f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")


def _probe_all(folder: Path, videos: list[str], minimum_s: float) -> dict:
    """VideoInfo or VideoError of every video; threads, because FFmpeg runs outside the GIL."""
    def look(video):
        try:
            return probe(folder / video, minimum_s)
        except VideoError as error:
            return error

    distinct = list(dict.fromkeys(videos))
    with ThreadPoolExecutor(max_workers=4) as pool:
        seen = list(tqdm(pool.map(look, distinct), total=len(distinct), desc="checking videos",
                         unit="video", leave=False))
    return dict(zip(distinct, seen, strict=True))


def _place_all(frames, info: VideoInfo, video: str) -> tuple[tuple[Frame, ...], list[Problem]]:
    placed, problems = [], []
    for image_id, frame in frames:
        frame, found = annotations.place(frame, image_id, info, video)
        problems += found
        placed.append(frame)
    return tuple(sorted(placed, key=lambda frame: frame.time_s or 0)), problems
