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
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from nurture_jax.measures import DEFAULT_REFERENCE_CM
from nurture_jax.records import across_rows, annotations, visit_table
from nurture_jax.records.annotations import Frame
from nurture_jax.records.problems import LeftOut, Problem, many
from nurture_jax.records.video import MINIMUM_S, VideoInfo, probe
from nurture_jax.records.video_file import VideoError
from nurture_jax.records.visit import Visit

DESCRIPTION = "DATASET.json"  # may be missing; of a rendered set it says "synthetic": true
REFUSED_REASONS = ("missing", "picture")  # a wrong table; other bad videos are only left out
PROBLEMS = "problems.txt"  # in the folder of a run, when there are too many for the screen
SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Report:
    """What `validate` found.

    Attributes:
      folder: Folder of the data set.
      eligible: Number of visits in the table.
      visits: Those that can be used.
      left_out: Those whose video cannot be used.
      problems: What has to be mended first; with any of them the data set is refused.
    """

    folder: Path
    eligible: int
    visits: tuple[Visit, ...]
    left_out: tuple[LeftOut, ...]
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        lines = [describe(self.folder, len(self.visits), self.eligible, self.left_out),
                 *assumed(self.visits)]
        if self.problems:
            lines += [f"{_count(self.problems)}:", many(self.problems)]
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Records:
    """The usable visits of a folder, in the order of the table, and those left out."""

    folder: Path
    visits: tuple[Visit, ...]
    left_out: tuple[LeftOut, ...] = ()

    def __len__(self) -> int:
        return len(self.visits)

    @property
    def infants(self) -> list[str]:
        """The infants of the table, so also those without a usable video; sorted."""
        return sorted({visit.infant_id for visit in (*self.visits, *self.left_out)})

    def of_infants(self, infants: Iterable[str]) -> Records:
        """Only the visits of these infants."""
        chosen = frozenset(infants)
        visits, left_out = (tuple(visit for visit in group if visit.infant_id in chosen)
                            for group in (self.visits, self.left_out))
        return dataclasses.replace(self, visits=visits, left_out=left_out)


def describe(folder: Path, usable: int, eligible: int, left_out: Sequence[LeftOut],
             shown: int | None = None) -> str:
    """How many visits can be used, how many not and why, then the latter one by one.

    Args:
      shown: How many of them are told; None is all.
    """
    lines = [f"{folder}: {usable} of {eligible} visits can be used"]
    if left_out:
        reasons = collections.Counter(visit.reason for visit in left_out).most_common()
        lines += ["left out: " + ", ".join(f"{count} {reason}" for reason, count in reasons),
                  many(left_out, shown)]
    return "\n".join(lines)


def assumed(visits: Sequence[Visit]) -> list[str]:
    """A line about reference objects of which no length is told, if there are any."""
    untold = [visit for visit in visits if visit.reference_cm is None]
    if not untold:
        return []
    count = sum(frame.has_reference for visit in untold for frame in visit.frames)
    return [f"reference_cm is empty in {len(untold)} visits"
            + (f" (with {count} annotated frames that show it)" if count else "")
            + f"; {DEFAULT_REFERENCE_CM:g} is taken"]


def load(folder: str | Path, *, minimum_s: float = MINIMUM_S, workdir: Path | None = None
         ) -> Records:
    """The usable visits of a folder.

    Args:
      minimum_s: Length in seconds below which a video is left out.
      workdir: Folder of a run. If there are more than 20 problems, the error shows the first
        and names a file there, `problems.txt`, with all; without it the error has all.

    Raises:
      ValueError: If there is any problem, with all of them.
    """
    report = validate(folder, minimum_s=minimum_s)
    path = None if workdir is None else Path(workdir) / PROBLEMS
    if path and path.is_file():
        path.unlink()  # of an earlier try
    if report.problems:
        raise ValueError(f"{report.folder} has {_count(report.problems)}; mend and try again:"
                         f"\n{_first_or_all(report.problems, path)}")
    if not report.visits:
        raise ValueError(f"{report.folder} has no visit with a usable video; record again:"
                         f"\n{_first_or_all(report.left_out, path)}")
    return Records(report.folder, report.visits, report.left_out)


def is_synthetic(folder: str | Path) -> bool:
    """Whether the data set says of itself, in `DATASET.json`, that its recordings are rendered.

    Raises:
      ValueError: If the file is there but damaged.
    """
    synthetic, problems = _read_description(Path(folder))
    if problems:
        raise ValueError(f"{folder}: {problems[0]}")
    return synthetic


def validate(folder: str | Path, *, minimum_s: float = MINIMUM_S) -> Report:
    """Looks at every row, annotation and video of a folder; videos are opened, not decoded."""
    folder = Path(folder)
    if not folder.is_dir():
        problem = Problem(str(folder), "is not a folder; give one that holds visits.csv")
        return Report(folder, 0, (), (), (problem,))
    rows, problems = visit_table.read(folder)
    frames, found = annotations.read(folder)
    problems += found + _read_description(folder)[1]
    videos = probe_all(folder, [row["video"] for _, row in rows], minimum_s)
    problems += across_rows.same_videos(
        folder, [row for row in rows if isinstance(videos[row[1]["video"]], VideoInfo)],
        visit_table.FILE)
    visits, left_out = [], []
    for number, row in rows:
        video, seen = row["video"], videos[row["video"]]
        visit = Visit(**row)
        if isinstance(seen, VideoInfo):
            placed, found = place_all(frames.get(video, ()), seen, video)
            problems += found
            visits.append(dataclasses.replace(visit, frames=placed))
        elif seen.reason in REFUSED_REASONS:
            problems.append(Problem(visit_table.FILE, f"cannot be used: {seen}", number, "video",
                                    video))
        else:
            left_out.append(LeftOut(visit.infant_id, visit.key, seen.reason, str(seen),
                                    visit.mother_id))
    problems += [
        Problem(annotations.FILE, f"of image {image_id} is in no row of {visit_table.FILE}; add "
                                  f"the visit or remove the image", column="video", value=video)
        # Without a single row the table itself is at fault.
        for video, group in frames.items() if rows and video not in videos
        for image_id, _ in group]
    return Report(folder, len(rows), tuple(visits), tuple(left_out), tuple(problems))


def _count(problems: Sequence[Problem]) -> str:
    return f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")


def _first_or_all(found: Sequence[Problem | LeftOut], path: Path | None) -> str:
    """Lines for an error; what is too long for one goes to the file as a whole."""
    if path is None or len(found) <= SHOWN:
        return many(found)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(many(found) + "\n", encoding="utf-8")
    except OSError:  # no place for a file: then all of it is told here
        return many(found)
    return f"{many(found, SHOWN)}; all are in {path}"


def _read_description(folder: Path) -> tuple[bool, list[Problem]]:
    """Whether `DATASET.json` says "synthetic", and what is wrong with the file."""
    path = folder / DESCRIPTION
    if not path.is_file():
        return False, []
    advice = 'write {"synthetic": false} into it, or true where the recordings are rendered'
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        return False, [Problem(DESCRIPTION, f"is not JSON ({error}); {advice}")]
    synthetic = content.get("synthetic", False) if isinstance(content, dict) else None
    if not isinstance(synthetic, bool):
        return False, [Problem(DESCRIPTION, f"does not say if the set is synthetic; {advice}")]
    return synthetic, []


def probe_all(folder: Path, videos: list[str], minimum_s: float
               ) -> dict[str, VideoInfo | VideoError]:
    """What every video holds or why it cannot be used.

    Threads look at them, because FFmpeg runs outside the GIL.
    """
    def look(video: str) -> VideoInfo | VideoError:
        try:
            return probe(folder / video, minimum_s)
        except VideoError as error:
            return error

    distinct = list(dict.fromkeys(videos))
    with ThreadPoolExecutor(max_workers=4) as pool:
        seen = list(tqdm(pool.map(look, distinct), total=len(distinct), desc="checking videos",
                         unit="video", leave=False))
    return dict(zip(distinct, seen, strict=True))


def place_all(frames: Iterable[tuple[int | str, Frame]], info: VideoInfo, video: str
               ) -> tuple[tuple[Frame, ...], list[Problem]]:
    """The annotated frames of a video with their times, ascending, and which cannot be in it.

    Args:
      frames: The frames with the ids of their images.
    """
    placed, problems = [], []
    for image_id, frame in frames:
        frame, found = annotations.place(frame, image_id, info, video)
        problems += found
        placed.append(frame)
    return tuple(sorted(placed, key=lambda frame: frame.time_s or 0)), problems
