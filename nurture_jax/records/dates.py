"""Dates of birth and of visits: ages out of them. They are kept nowhere."""
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


def told_age(birth: str, visit: str, age: float | None) -> float | None:
    """The age at one visit in days, of what is told of it; None where nothing tells it.

    Args:
      birth, visit: The dates; "" where they are not told.
      age: The age; None where it is not told.

    Raises:
      ValueError: If a date is none, they contradict each other or the age, or there is only one
        and no age.
    """
    by_dates, wrong = age_days(birth, visit)
    told = {BIRTH: birth, VISIT: visit}
    for column, sentence in wrong:
        raise ValueError(f"{column} {told[column]!r} {sentence}")
    if by_dates is not None and age is not None and (sentence := disagreement(by_dates, age)):
        raise ValueError(f"age_days {age:g} {sentence}")
    if age is None and by_dates is None and (birth or visit):
        one, other = (BIRTH, VISIT) if birth else (VISIT, BIRTH)
        raise ValueError(f"{one} is given without {other}; give both, or the age as age_days")
    return float(by_dates) if age is None and by_dates is not None else age
