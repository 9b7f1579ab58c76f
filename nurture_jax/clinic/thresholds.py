"""What each rule of the plain line compares: the weight of today, its z-score, and its changes.

Every quantity is known thrice, of the estimate and of both ends of its interval. What an infant
lacks for a rule is told by name.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from nurture_jax import growth
from nurture_jax.growth import NoStandard
from nurture_jax.measures import RANGES
from nurture_jax.records.visit import Visit
from nurture_jax.rules import PRETERM_BELOW_DAYS, RULES, TABLE, TOPICS, Rule, listed, say

Span = tuple[float, float, float]  # of the estimate and of the lower and upper end
LIGHTEST_G = 1.0  # an interval may begin at 0, of which there is no z-score
DIGITS = 9  # more are noise of the arithmetic: 10 % of a birth weight are 10 %


@dataclasses.dataclass(frozen=True)
class Earlier:
    """A weight of an earlier visit.

    Attributes:
      age_days: Age at that visit.
      weight_g: The weight.
      low_g, high_g: Ends of its interval; None for a weight of a scale.

    Raises:
      ValueError: If a number is out of range, or the weight outside its interval.
    """

    age_days: float
    weight_g: float
    low_g: float | None = None
    high_g: float | None = None

    def __post_init__(self) -> None:
        for name in ("age_days", "weight_g"):
            if problem := RANGES[name].sentence(getattr(self, name)):
                raise ValueError(f"{name} {getattr(self, name):g} of an earlier visit {problem}")
        if (self.low_g is None) != (self.high_g is None):
            raise ValueError(f"the interval of the earlier visit on day {self.age_days:g} has one "
                             f"end; give both, or none for a weight of a scale")
        if not self.low <= self.weight_g <= self.high:
            raise ValueError(f"the weight of {self.weight_g:g} g of the earlier visit on day "
                             f"{self.age_days:g} is not within its interval; correct it")

    @classmethod
    def of_scale(cls, text: str) -> Earlier:
        """A weight of a scale, written DAY:GRAMS, such as "7:2900".

        Raises:
          ValueError: If it is not written so, or a number is out of range.
        """
        try:
            age_days, weight_g = map(float, text.split(":"))
        except ValueError:
            raise ValueError(f"earlier weight {text!r} is not DAY:GRAMS; write it like 7:2900"
                             ) from None
        return cls(age_days, weight_g)

    @property
    def low(self) -> float:
        """Lower end of the interval in g; that of a scale is the weight itself."""
        return self.weight_g if self.low_g is None else self.low_g

    @property
    def high(self) -> float:
        """Upper end of the interval in g; that of a scale is the weight itself."""
        return self.weight_g if self.high_g is None else self.high_g


@dataclasses.dataclass(frozen=True)
class Asked:
    """A topic with the rules that can be asked of this infant.

    Attributes:
      name: A name of TOPICS.
      rules: Each rule with what it compares, and the words of its sentences.
      not_judged: What could not be asked, with the reason.
      notes: What else must be known to read the answers.
      only_if_term: The values are right only for an infant born at term, which is not known.
    """

    name: str
    rules: tuple[tuple[Rule, Span, Mapping[str, str]], ...] = ()
    not_judged: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    only_if_term: bool = False

    @property
    def judged(self) -> bool:
        """Whether any rule can be asked."""
        return bool(self.rules)


def check_order(visit: Visit, earlier: Sequence[Earlier]) -> None:
    """Raises ValueError naming an earlier visit that is not before this one."""
    for other in earlier:
        if visit.age_days is not None and other.age_days >= visit.age_days:
            raise ValueError(f"an earlier visit was on day {other.age_days:g}, this one is on day "
                             f"{visit.age_days:g}; give visits before this one")


def ask(visit: Visit, weight_g: Span, earlier: Sequence[Earlier]) -> list[Asked]:
    """Every topic, in the order of `rules.json`; that of earlier visits only where there are any.

    All of `earlier` are before this visit, see `check_order`.
    """
    topics = [Asked("weight", _rules("weight", weight_g, 0)), _by_standard(visit, weight_g),
              _by_birth_weight(visit, weight_g)]
    return [*topics, _by_earlier(visit, weight_g, earlier)] if earlier else topics


def _by_standard(visit: Visit, weight_g: Span) -> Asked:
    places = [growth.assess(
        "weight_g", max(value, LIGHTEST_G), sex=visit.sex or None, age_days=visit.age_days,
        gestational_age_days=visit.gestational_age_days) for value in weight_g]
    if isinstance(places[0], NoStandard):
        lacking = not visit.sex or visit.age_days is None
        return _lacking("z", visit) if lacking else _told("z", places[0].reason)
    rules = _rules("z", tuple(place.z for place in places), 2, standard=places[0].standard)
    uncertain = places[0].only_if_term
    return Asked("z", rules, notes=(say("note_if_term"),) if uncertain else (),
                 only_if_term=uncertain)


def _by_birth_weight(visit: Visit, weight_g: Span) -> Asked:
    if visit.birth_weight_g is None:
        return _lacking("birth", visit)
    changes = tuple(round(growth.weight_change_percent(value, visit.birth_weight_g), DIGITS)
                    for value in weight_g)
    gestation, day = visit.gestational_age_days, visit.age_days
    born = "unknown" if gestation is None else (
        "preterm" if gestation < PRETERM_BELOW_DAYS else "term")
    rules, not_judged = [], []
    for row in _rules("birth", changes, 1, day="" if day is None else f"{math.floor(day)}"):
        rule = row[0]
        if born not in rule.born:
            continue
        if rule.from_day is None or (day is None and changes[1] >= rule.below):
            rules.append(row)  # on whichever day
        elif day is None:
            not_judged.append((say("regained"), _not_known(["age_days"])))
        elif day >= rule.from_day:
            rules.append(row)
    return Asked("birth", tuple(rules), tuple(not_judged))


def _by_earlier(visit: Visit, weight_g: Span, earlier: Sequence[Earlier]) -> Asked:
    """Compared with the last of the earlier visits that is not of the first days."""
    if visit.age_days is None:
        return _lacking("earlier", visit)
    rule, = (rule for rule in RULES if rule.topic == "earlier")
    last = max((other for other in earlier if other.age_days >= rule.earlier_from_day),
               key=lambda other: other.age_days, default=None)
    if last is None:
        return _told("earlier", say("first_days", from_day=f"{rule.earlier_from_day:g}"))
    before = say("before_scale", weight=f"{last.weight_g:.0f}") if last.low_g is None else \
        say("before_estimate", low=_down(last.low, 0), high=_up(last.high, 0))
    value, low, high = weight_g
    gain = (value - last.weight_g, low - last.high, high - last.low)
    return Asked("earlier", _rules("earlier", gain, 0, day=f"{last.age_days:g}", before=before))


def _rules(topic: str, span: Span, digits: int, **words: str
           ) -> tuple[tuple[Rule, Span, dict[str, str]], ...]:
    """Rules of a topic with the words of their sentences; ends are rounded away from the middle."""
    value, low, high = (round(each, DIGITS) for each in span)
    words = words | {"value": f"{value:.{digits}f}", "low": _down(low, digits),
                     "high": _up(high, digits), "loss": f"{-value:.{digits}f}"}
    return tuple((rule, (value, low, high), words | {"below": f"{rule.below:g}",
                                                    "limit": f"{-rule.below:g}"})
                 for rule in RULES if rule.topic == topic)


def _down(value: float, digits: int) -> str:
    return f"{math.floor(round(value * 10 ** digits, DIGITS)) / 10 ** digits:.{digits}f}"


def _up(value: float, digits: int) -> str:
    return f"{math.ceil(round(value * 10 ** digits, DIGITS)) / 10 ** digits + 0.0:.{digits}f}"


def _lacking(topic: str, visit: Visit) -> Asked:
    """A topic that cannot be judged for want of what is not known of the infant."""
    needs, = (row["needs"] for row in TABLE["topics"] if row["name"] == topic)
    return _told(topic, _not_known([name for name in needs if getattr(visit, name) in (None, "")]))


def _told(topic: str, why: str) -> Asked:
    return Asked(topic, not_judged=((TOPICS[topic], why),))


def _not_known(names: list[str]) -> str:
    return say("not_known", inputs=listed([TABLE["inputs"][name] for name in names]))
