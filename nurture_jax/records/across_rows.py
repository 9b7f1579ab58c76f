"""What is wrong between the rows of a table, and between the cells of one.

Every row may be right in itself and two of them not: an infant with two sexes, or one infant under
two ids, which would then be in two splits.
"""
from __future__ import annotations

import collections
import hashlib
import itertools
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from nurture_jax.records.problems import Problem
from nurture_jax.rules import PRETERM_BELOW_DAYS

Row = Mapping[str, str | float | None]
Numbered = Sequence[tuple[int, Row]]
# The same at every visit.
OF_THE_INFANT = ("sex", "gestational_age_days", "birth_weight_g", "mother_id")
# A weight cannot change faster than this since birth (our choice, far beyond what is survived).
LEAST_OF_BIRTH, MOST_GAIN_G, MOST_GAIN_G_PER_DAY = 0.6, 500, 100
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
        problems += _of_the_infant(visits, file) + _order(visits, file)
    for number, row in rows:
        problems += _of_the_row(number, row, file)
    return sorted(problems, key=lambda problem: problem.row)


def same_videos(folder: Path, rows: Numbered, file: str) -> list[Problem]:
    """Rows whose video is the same as that of an earlier row, under another name.

    Only files of the same size are read, a megabyte at either end.
    """
    sizes = collections.defaultdict(list)
    for number, row in rows:
        path = folder / str(row["video"])
        if path.is_file():
            sizes[path.stat().st_size].append((number, row["video"], path))
    problems = []
    for alike in sizes.values():
        first: dict[bytes, tuple[int, str, Path]] = {}
        for number, video, path in alike if len(alike) > 1 else ():
            before = first.setdefault(_ends(path), (number, video, path))
            if before[2] != path:
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
    """Ages that contradict visits counted 1, 2, 3."""
    if not all(str(row["visit_id"]).isdecimal() for _, row in visits):
        return []
    counted = sorted(((int(row["visit_id"]), number, row) for number, row in visits
                      if row["age_days"] is not None), key=lambda each: each[:2])
    return [Problem(file, f"is younger than the {_shown(before['age_days'])} days of visit "
                          f"{before['visit_id']!r} in row {first}; correct an age or a visit_id",
                    number, "age_days", _shown(row["age_days"]))
            for (_, first, before), (_, number, row) in itertools.pairwise(counted)
            if row["age_days"] < before["age_days"]]


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
    gestation = row["gestational_age_days"]
    if None not in (birth, gestation) and gestation < PRETERM_BELOW_DAYS and (
            birth > _MOST_G + _MOST_G_PER_DAY * max(gestation - _FIRST_DAYS, 0)):
        wrong("gestational_age_days", f"is too short for birth_weight_g {_shown(birth)}; correct "
                                      f"one of them")
    if weight is not None and birth is not None and age is not None:
        most = birth + MOST_GAIN_G + MOST_GAIN_G_PER_DAY * age
        if not LEAST_OF_BIRTH * birth <= weight <= most:
            wrong("weight_g", f"on day {_shown(age)} does not follow from birth_weight_g "
                              f"{_shown(birth)}; correct one of them")
    return problems


def _ends(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(_EDGE_BYTES)
        file.seek(max(path.stat().st_size - _EDGE_BYTES, 0))
        return hashlib.sha256(start + file.read()).digest()


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
