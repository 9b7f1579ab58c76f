"""Dates of birth and of visits in a table: ages out of them. They are kept nowhere."""
from __future__ import annotations

import datetime

BIRTH, VISIT = "birth_date", "visit_date"
COLUMNS = (BIRTH, VISIT)
NEAR_DAYS = 1  # an age may be counted in hours, or from the day after birth (our choice)
# Column, and what is wrong with its cell.
Wrong = tuple[str, str]


def age_days(birth: str, visit: str) -> tuple[int | None, list[Wrong]]:
    """Age at a visit in days; None unless both cells hold dates.

    Args:
      birth, visit: The cells; "" where they are empty.
    """
    dates, wrong = {}, []
    for column, text in ((BIRTH, birth), (VISIT, visit)):
        try:
            dates[column] = datetime.date.fromisoformat(text) if text else None
        except ValueError:
            dates[column] = None
            wrong.append((column, "is not a date; write year, month and day like 2026-03-09"))
    if None in dates.values():
        return None, wrong
    days = (dates[VISIT] - dates[BIRTH]).days
    if days < 0:
        return None, [(VISIT, f"is before the {BIRTH} {birth}; correct one of them")]
    return days, []


def disagreement(by_dates: int, told: float) -> str:
    """Why an age in days is refused beside dates, or nothing."""
    if abs(by_dates - told) <= NEAR_DAYS:
        return ""
    return f"is {by_dates} days by {BIRTH} and {VISIT}; correct one of the three"
