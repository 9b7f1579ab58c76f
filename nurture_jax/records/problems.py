"""What is wrong with a data set, one value for each thing, so that all of it is told at once."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something the user has to mend.

    Attributes:
      file: Name of the file that it is in.
      sentence: What is wrong, what is allowed, what to do.
      row: Row of a spreadsheet, whose header is row 1; None where there is none.
      column, value: Column and value as they stand in the file, or "".
    """

    file: str
    sentence: str
    row: int | None = None
    column: str = ""
    value: str = ""

    def __str__(self) -> str:
        place = [self.file]
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column:
            place.append(f"column {self.column}")
        value = f"{self.value!r} " if self.value else ""
        return f"{', '.join(place)}: {value}{self.sentence}"


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A visit that cannot be used although the table is right.

    Attributes:
      infant_id: Whom it is of.
      visit: Its key, infant and visit.
      reason: What is wrong in one word, to be counted.
      sentence: What is wrong with its video.
      mother_id: Whose child the infant is; "" where that is not known.
    """

    infant_id: str
    visit: str
    reason: str
    sentence: str
    mother_id: str = ""

    def __str__(self) -> str:
        return f"{self.visit}: {self.sentence}"


def many(found: Sequence[Problem | LeftOut], shown: int | None = None) -> str:
    """Problems or visits as lines: all of them, or the first `shown` with the rest counted."""
    lines = [f"  {each}" for each in found[:shown]]
    if len(lines) < len(found):
        lines.append(f"  and {len(found) - len(lines)} more")
    return "\n".join(lines)
