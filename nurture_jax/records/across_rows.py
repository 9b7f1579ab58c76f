"""What is wrong between the rows of a table, and between the cells of one.

Every row may be right in itself and two of them not: an infant with two sexes, or one infant under
two ids, which would then be in two splits.
"""
from __future__ import annotations

import collections
import hashlib
import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from nurture_jax.records.problems import Problem
from nurture_jax.rules import PRETERM_BELOW_DAYS

Row = Mapping[str, str | float | None]
Numbered = Sequence[tuple[int, Row]]
# The same at every visit.
OF_THE_INFANT = ("sex", "gestational_age_days", "birth_weight_g", "mother_id")
# A weight cannot change faster than this since birth, nor between two visits (our choice, far
# beyond what is survived).
LEAST_OF_BEFORE, MOST_GAIN_G, MOST_GAIN_G_PER_DAY = 0.6, 500, 100
# Nor is an infant born preterm heavier: 1500 g at 24 weeks, 2760 g at 28, 5280 g at 36 (our choice:
# 4.2 to 5.2 z of newborn size). A gestation that is told too short would choose a wrong standard.
_FIRST_DAYS, _MOST_G, _MOST_G_PER_DAY = 168, 1500, 45
_EDGE_BYTES = 1 << 20  # of a video, at both ends, that are compared


def check(rows: Numbered, file: str) -> list[Problem]:
    """All problems of a table, whose rows come with their numbers in the file."""
    by_infant = collections.defaultdict(list)
    rows = [(number, row) for number, row in rows if row["infant_id"]]
    for number, row in rows:
        by_infant[row["infant_id"]].append((number, row))
    problems = _alike(rows, file, "infant_id", "infant") + _alike(rows, file, "mother_id", "mother")
    for visits in by_infant.values():
        problems += (_of_the_infant(visits, file) + _order(visits, file)
                     + _between_visits(visits, file))
    for number, row in rows:
        problems += _of_the_row(number, row, file)
    return sorted(problems, key=lambda problem: problem.row)


def same_videos(folder: Path, rows: Numbered, file: str) -> list[Problem]:
    """Rows whose video is the same as that of an earlier row, under another name.

    Only files of the same size are read, a megabyte at either end. What is empty or cannot be read
    is told where videos are opened.
    """
    sizes = collections.defaultdict(list)
    for number, row in rows:
        path = folder / str(row["video"])
        if size := _size(path):
            sizes[size].append((number, row["video"], path))
    problems = []
    for alike in sizes.values():
        first: dict[bytes, tuple[int, str, Path]] = {}
        for number, video, path in alike if len(alike) > 1 else ():
            ends = _ends(path)
            before = first.setdefault(ends, (number, video, path))
            if ends and before[2] != path:
                problems.append(Problem(
                    file, f"is the same recording as {before[1]!r} of row {before[0]}; keep one",
                    number, "video", video))
    return problems


def _alike(rows: Numbered, file: str, column: str, who: str) -> list[Problem]:
    """Ids that differ only in what a person does not see: case, width of letters, blanks.

    Args:
      column: Column of the ids; empty cells are nobody's.
      who: Whose they are.
    """
    first: dict[str, tuple[int, str]] = {}
    problems, told = [], set()
    for number, row in rows:
        own = row[column]
        plain = "".join(unicodedata.normalize("NFKC", str(own)).casefold().split())
        before = first.setdefault(plain, (number, own))
        if own and before[1] != own and own not in told:
            told.add(own)
            problems.append(Problem(
                file, f"differs from {before[1]!r} of row {before[0]} in case or blanks only; "
                      f"write one {who} in one way, and two with other ids", number, column,
                str(own)))
    return problems


def _of_the_infant(visits: Numbered, file: str) -> list[Problem]:
    """What cannot change between the visits of one infant."""
    problems = []
    for name in OF_THE_INFANT:
        known = [(number, row[name]) for number, row in visits if row[name] not in (None, "")]
        for number, value in known:
            if value != known[0][1]:
                problems.append(Problem(
                    file, f"of infant {visits[0][1]['infant_id']!r} is {_shown(known[0][1])} in "
                          f"row {known[0][0]}; correct one of them", number, name, _shown(value)))
    return problems


def _order(visits: Numbered, file: str) -> list[Problem]:
    """Ages that contradict visits counted 1, 2, 3 or v1, v2, v3."""
    counted = collections.defaultdict(list)
    for number, row in visits:
        count = re.fullmatch(r"(\D*)(\d{1,18})", str(row["visit_id"]))
        if count and row["age_days"] is not None:
            counted[count[1].casefold()].append((int(count[2]), number, row))
    return [Problem(file, f"is younger than the {_shown(before['age_days'])} days of visit "
                          f"{before['visit_id']!r} in row {first}; correct an age or a visit_id",
                    number, "age_days", _shown(row["age_days"]))
            for alike in counted.values()
            for (_, first, before), (_, number, row) in itertools.pairwise(
                sorted(alike, key=lambda each: each[:2]))
            if row["age_days"] < before["age_days"]]


def _between_visits(visits: Numbered, file: str) -> list[Problem]:
    """Weights that do not follow from that of the visit before, by age.

    Those that do not follow from the birth weight of their own row are told there.
    """
    weighed = sorted(((row["age_days"], number, row) for number, row in visits
                      if None not in (row["age_days"], row["weight_g"]) and _since_birth(row)),
                     key=lambda each: each[:2])
    return [Problem(file, f"on day {_shown(age)} does not follow from "
                          f"{_shown(before['weight_g'])} on day {_shown(day)} in row {first}; "
                          f"correct one of them", number, "weight_g", _shown(row["weight_g"]))
            for (day, first, before), (age, number, row) in itertools.pairwise(weighed)
            if not _follows(row["weight_g"], before["weight_g"], age - day)]


def _follows(weight_g: float, before_g: float, days: float) -> bool:
    """Whether a weight is possible so many days after another."""
    most = before_g + MOST_GAIN_G + MOST_GAIN_G_PER_DAY * days
    return LEAST_OF_BEFORE * before_g <= weight_g <= most


def _since_birth(row: Row) -> bool:
    """Whether the weight follows from the birth weight; True where one of them is not known."""
    weight, birth, age = row["weight_g"], row["birth_weight_g"], row["age_days"]
    return None in (weight, birth, age) or _follows(weight, birth, age)


def _of_the_row(number: int, row: Row, file: str) -> list[Problem]:
    """Cells of one row that contradict each other."""
    problems = []

    def wrong(name: str, sentence: str) -> None:
        problems.append(Problem(file, sentence, number, name, _shown(row[name])))

    length, head, chest = row["length_cm"], row["head_cm"], row["chest_cm"]
    for name, value in (("head_cm", head), ("chest_cm", chest)):
        if length is not None and value is not None and value >= length:
            wrong(name, f"is not less than length_cm {_shown(length)}; are they in each other's "
                        f"column?")
    weight, birth, age = row["weight_g"], row["birth_weight_g"], row["age_days"]
    gestation, told = row["gestational_age_days"], f"birth_weight_g {_shown(birth)}"
    if birth is None and None not in (weight, age) and age < 1:
        birth, told = weight, f"weight_g {_shown(weight)} on day {_shown(age)}"
    if None not in (birth, gestation) and gestation < PRETERM_BELOW_DAYS and (
            birth > _MOST_G + _MOST_G_PER_DAY * max(gestation - _FIRST_DAYS, 0)):
        wrong("gestational_age_days", f"is too short for {told}; correct one of them")
    if not _since_birth(row):
        wrong("weight_g", f"on day {_shown(age)} does not follow from birth_weight_g "
                          f"{_shown(birth)}; correct one of them")
    return problems


def _size(path: Path) -> int:
    """Bytes of a file; 0 for what is none, such as a name that is too long for one."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _ends(path: Path) -> bytes:
    """What tells one file from another of its size; empty for one that cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(_EDGE_BYTES)
            file.seek(max(path.stat().st_size - _EDGE_BYTES, 0))
            return hashlib.sha256(start + file.read()).digest()
    except OSError:
        return b""


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
