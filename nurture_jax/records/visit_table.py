"""visits.csv: one row a visit, every cell checked, every problem kept."""
from __future__ import annotations

import csv
import dataclasses
import difflib
import io
import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from nurture_jax.measures import MEASURES, NO_NUMBER, RANGES, SEXES, THOUSANDS, Range
from nurture_jax.records import across_rows, dates
from nurture_jax.records.problems import Problem

FILE = "visits.csv"
REQUIRED = ("infant_id", "visit_id", "video", "weight_g")
TEXT = ("infant_id", "visit_id", "video", "site", "device", "body", "mother_id")
EMPTY = ("", "na", "n/a", "nan", "null", "none")  # in small letters
SAVE_AS = "save it as 'CSV UTF-8 (comma delimited)'"


Row = dict[str, str | float | None]  # cells by column
COLUMNS = ("infant_id", "visit_id", "video", "age_days", "sex", "gestational_age_days",
           "birth_weight_g", "site", "device", "body", "reference_cm", *MEASURES)
KNOWN = (*COLUMNS, "mother_id", *dates.COLUMNS)  # those that few tables need, too


def read(folder: Path) -> tuple[list[tuple[int, Row]], list[Problem]]:
    """The rows of `visits.csv` in a folder, as `read_file`."""
    return read_file(folder / FILE)


def read_file(path: Path, required: Sequence[str] = REQUIRED
              ) -> tuple[list[tuple[int, Row]], list[Problem]]:
    """Rows with their numbers in the file, and what is wrong with them.

    What is refused or stands for an empty cell is None or ""; rows without a video are left out.

    Args:
      path: The table.
      required: Columns that have to be there.
    """
    rows, problems = _read(path, required)
    return rows, [dataclasses.replace(problem, file=path.name) for problem in problems]


def _read(path: Path, required: Sequence[str]) -> tuple[list[tuple[int, Row]], list[Problem]]:
    table, problems = _read_cells(path)
    if table is None:
        return [], problems
    columns, lines = table
    problems += _check_columns(columns, required)
    rows, seen = [], {"visit": {}, "video": {}}
    for number, line in enumerate(lines, start=2):
        cells = {name: cell.strip()
                 for name, cell in itertools.zip_longest(columns, line, fillvalue="")}
        if all(cell.lower() in EMPTY for cell in cells.values()):
            continue
        row, found = _check_row(number, cells, seen)
        problems += found
        if row["video"] and _leads_out(path.parent, row["video"]):
            problems.append(Problem(
                FILE, "is or passes a link that leads out of the folder; put the file itself "
                      "there, or have one link stand for the whole data set", number, "video",
                row["video"]))
        elif row["video"]:
            rows.append((number, row))
    if not rows and not problems:
        problems.append(Problem(FILE, "holds no visits; write one row for each"))
    return rows, problems + across_rows.check(rows, FILE)


def _leads_out(folder: Path, video: str) -> bool:
    """Whether a path follows links to somewhere else: a table of others may name any file so."""
    try:
        return not (folder / video).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # no path at all, or links in a circle
        return False


def _read_cells(path: Path) -> tuple[tuple[list[str], list[list[str]]] | None, list[Problem]]:
    """Columns, and the cells of every row as text, or the reason why there are none."""
    if not path.is_file():
        return None, [Problem(FILE, f"does not exist in {path.parent}; write one row a visit with "
                                    f"the columns {', '.join(COLUMNS)}")]
    data = path.read_bytes()
    text, sentence = _decode(data)
    if text is None:
        return None, [Problem(FILE, sentence)]
    header = text.split("\n", 1)[0]
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if header.count(separator) > header.count(","):
            return None, [Problem(FILE, f"is separated by {name}, not commas; {SAVE_AS}")]
    try:
        columns, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        why = error if isinstance(error, csv.Error) else "it is empty"
        return None, [Problem(FILE, f"is not a table ({why}); {SAVE_AS}")]
    if longer := next((i for i, line in enumerate(lines, 2) if len(line) > len(columns)), None):
        return None, [Problem(FILE, f"is not a table (row {longer} has more cells than there are "
                                    f"columns); {SAVE_AS}")]
    names = [name.strip() for name in columns]
    if double := [name for name in KNOWN if names.count(name) > 1]:
        return None, [Problem(FILE, f"has more than one column {', '.join(double)}; keep one of "
                                    f"each", row=1)]
    return (names, lines), []


def _decode(data: bytes) -> tuple[str | None, str]:
    """The text, or None and why it cannot be read."""
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):  # .xlsx, .ods and .xls
        return None, f"is a workbook of a spreadsheet program, not text; {SAVE_AS}"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:200]:
        return None, f"is in UTF-16; {SAVE_AS}"
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        return None, f"is not in UTF-8 (row {row}; Latin-1 or Windows-1252?); {SAVE_AS}"


def _check_columns(columns: Iterable[str], required: Sequence[str]) -> list[Problem]:
    problems = []
    missing = [name for name in required if name not in columns]
    if missing:
        problems.append(Problem(FILE, f"has no column {', '.join(missing)}; it has "
                                      f"{', '.join(map(str, columns))}", row=1))
    # The page on a phone exports estimates in these columns, beside the ends of intervals; taken
    # for measurements, they would be what a network is trained on and judged by.
    if estimated := [name for name in MEASURES if name in columns
                     and {f"{name}_low", f"{name}_high"} & {*columns}]:
        problems.append(Problem(FILE, f"holds estimates with intervals, not measurements, as "
                                      f"{', '.join(estimated)}; give what a scale and a tape have "
                                      f"shown, and no ends of intervals", row=1))
    for name in columns:
        # A slip of the pen in an optional column would lose it without a word.
        near = difflib.get_close_matches(str(name).lower(), KNOWN, n=1, cutoff=0.75)
        if name not in KNOWN and near and near[0] not in columns:
            problems.append(Problem(FILE, f"is unknown; did you mean {near[0]!r}?", row=1,
                                    column=str(name)))
    return problems


def _check_row(number: int, cells: dict[str, str], seen: dict[str, dict[str, int]]
               ) -> tuple[Row, list[Problem]]:
    """A row as values, and what is wrong with it.

    Args:
      number: Number of the row in the file.
      seen: The first row of every "visit" and "video"; this one is added.
    """
    problems = []

    def wrong(column: str, sentence: str) -> None:
        problems.append(Problem(FILE, sentence, number, column, cells.get(column, "")))

    row = {name: _text(cells.get(name, "")) for name in (*TEXT, "sex")}
    for name in ("infant_id", "visit_id", "video"):
        if name in cells and not row[name]:
            wrong(name, "is an empty cell; every visit needs one")
    for name, allowed in RANGES.items():
        value, sentence = _number(cells.get(name, ""), allowed)
        row[name] = value
        if sentence:
            wrong(name, sentence)
    by_dates, found = dates.age_days(*(_text(cells.get(name, "")) for name in dates.COLUMNS))
    for column, sentence in found:
        wrong(column, sentence)
    if by_dates is not None and row["age_days"] is None and not _text(
            cells.get("age_days", "")):
        row["age_days"], sentence = _number(str(by_dates), RANGES["age_days"])
        if sentence:
            problems.append(Problem(FILE, sentence, number, dates.VISIT, f"{by_dates} days"))
    elif None not in (by_dates, row["age_days"]) and (
            sentence := dates.disagreement(by_dates, row["age_days"])):
        wrong("age_days", sentence)
    if row["sex"] not in (*SEXES, ""):
        wrong("sex", "is not F or M; use one of them or leave it empty")
        row["sex"] = ""
    path = PurePosixPath(row["video"])
    if "\\" in row["video"] or path.is_absolute() or ".." in path.parts or ":" in row["video"][:2]:
        wrong("video", "is not a path inside the folder; write it like videos/a.mp4")
        row["video"] = ""
    visit = row["infant_id"] and row["visit_id"] and f"{row['infant_id']}/{row['visit_id']}"
    for what, column, key in (("visit", "visit_id", visit),
                              ("video", "video", row["video"] and str(path))):
        first = seen[what].setdefault(key, number)
        if key and first != number:
            wrong(column, f"is the same {what} as row {first}; keep one of them")
    return row, problems


def _text(cell: str) -> str:
    return "" if cell.lower() in EMPTY else cell


def _number(text: str, allowed: Range) -> tuple[float | None, str]:
    """The value of a cell, None where it is empty or refused, and why it is refused."""
    if text.lower() in EMPTY:
        return None, ""
    try:
        value = float(text)
    except ValueError:
        whole, comma, part = text.partition(",")
        if comma and whole.isdigit() and len(part) == 3 and part.isdigit() \
                and not allowed.sentence(float(whole + part)):
            return None, THOUSANDS.format(number=whole + part)
        if text.count(",") == 1 and text.replace(",", "").isdigit():
            return None, f"is not a number; a decimal comma? Write {text.replace(',', '.')}"
        return None, NO_NUMBER.format(unit=allowed.unit)
    if not math.isfinite(value):
        return None, f"is not a number; give {allowed.unit} or leave it empty"
    sentence = allowed.sentence(value)
    return (None, sentence) if sentence else (value, "")
