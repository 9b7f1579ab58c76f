"""What is wrong with a data set, one value for each thing, so that all of it is told at once."""
from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something the user has to mend.

    Attributes:
      file: where it is.
      sentence: what is wrong, what is allowed, what to do.
      row: of a spreadsheet (the header is row 1), or None.
      column, value: as they stand in the file, or "".
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
    """A visit that cannot be used although the table is right: its video and the reason."""

    visit: str
    reason: str
    sentence: str


def many(problems, shown: int = 20) -> str:
    """Problems as lines, the rest counted."""
    lines = [f"  {problem}" for problem in problems[:shown]]
    if len(problems) > shown:
        lines.append(f"  and {len(problems) - shown} more")
    return "\n".join(lines)
