"""A measured number with its interval; the interval of a share (Wilson 1927)."""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from scipy import stats

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Number:
    """A value with its 95 % interval; nan where it is not known."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    def text(self, show: Callable[[float], str], *, unit: str = "", sign: bool = False,
             interval: str = " ({} to {})") -> str:
        """The value and, where it is known, its interval, such as "12 g (8 to 16)".

        Args:
          show: Writes a number, without its unit.
          unit: Unit that is written behind the value.
          sign: Whether numbers above 0 have a plus.
          interval: What is written behind the value, with a place for each end.
        """
        shown = lambda number: ("+" if sign and number > 0 else "") + show(number)
        value = f"{shown(self.value)} {unit}" if unit else shown(self.value)
        if not math.isfinite(self.low):
            return value
        return value + interval.format(shown(self.low), shown(self.high))


def wilson(hits: int, total: int) -> Number:
    """A share with its Wilson score interval (Wilson 1927); nan for an empty total.

    Raises:
      ValueError: Unless 0 <= hits <= total.
    """
    if not 0 <= hits <= total:
        raise ValueError(f"{hits} of {total} is not a share; give 0 <= hits <= total")
    if total == 0:
        return Number(float("nan"))
    low, high = stats.binomtest(hits, total).proportion_ci(CONFIDENCE, method="wilson")
    return Number(hits / total, float(low), float(high))
