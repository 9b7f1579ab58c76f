"""One plain line for the health worker: normal, unsure, weigh on a scale, or refer.

Each rule of `rules.json` asks whether the weight lies below a threshold: in grams, in z, in percent
since birth, in grams since an earlier visit. If all of the interval lies below, the rule holds; if
a part of it does, the line is "unsure". The strongest line of any rule is the advice, and a rule
that could not be asked is named beside it. It is no diagnosis, and no guideline has approved the
whole.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

from nurture_jax.clinic.thresholds import Asked, Earlier, ask, check_order
from nurture_jax.measures import RANGES
from nurture_jax.records.visit import Visit
from nurture_jax.rules import LINES, TOPICS, listed, say

NORMAL, UNSURE, WEIGH, REFER = LINES.values()
HOLDS, PERHAPS, IF_TERM, CLEAR = "holds", "unsure", "if born at term", "clear"


@dataclasses.dataclass(frozen=True)
class NotJudged:
    """What could not be judged, and why, in words."""

    what: str
    why: str

    def __str__(self) -> str:
        return say("not_judged_one", what=self.what, why=self.why)

    @property
    def short(self) -> str:
        """The same without this infant's numbers, for counting."""
        return say("not_judged_one", what=self.what, why=self.why.split(" (")[0])


@dataclasses.dataclass(frozen=True)
class Advice:
    """What a health worker is told.

    Attributes:
      line: One of the texts of LINES.
      reasons: Why, one for each threshold that counts.
      judged: What the weight was judged by, such as "z-score".
      not_judged: What it could not be judged by.
      notes: What else must be known to read the line.
      rules: HOLDS, PERHAPS, IF_TERM or CLEAR for each rule that was asked, by its name.
    """

    line: str
    reasons: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()
    notes: tuple[str, ...] = ()
    rules: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        """The whole of it in one line; what was not judged is always in it."""
        head = self.line
        if self.reasons:
            head = f"{self.line}: {'; '.join(self.reasons)}"
        elif self.not_judged and self.judged:
            by = "by_one" if len(self.judged) == 1 else "by"
            head = say(by, line=self.line, topics=listed(list(self.judged)))
        rest = [say("not_judged", list=", ".join(map(str, self.not_judged)))] \
            if self.not_judged else []
        return "; ".join([head, *rest, *self.notes])


def advise(visit: Visit, weight_g: float, low_g: float, high_g: float,
           earlier: Sequence[Earlier] = ()) -> Advice:
    """The advice for an estimated weight with its interval.

    Args:
      visit: What is known of the infant: sex, age, gestation and birth weight.
      weight_g: The estimate.
      low_g, high_g: Ends of its interval; nan where it was never calibrated, and nothing is sure.
      earlier: Earlier visits of the infant, in any order.

    Raises:
      ValueError: If the estimate is no number or outside its interval, or an earlier visit is not
        before this one.
    """
    if math.isnan(weight_g):
        raise ValueError("the weight is not estimated; the advice needs it")
    check_order(visit, earlier)
    allowed = RANGES["weight_g"]
    if not allowed.low <= weight_g <= allowed.high:
        return _nothing_asked(WEIGH, say(
            "implausible", value=f"{weight_g:.0f}", low=f"{allowed.low:g}",
            high=f"{allowed.high:g}"), say("for_implausible"), earlier)
    if not (math.isfinite(low_g) and math.isfinite(high_g)):
        return _nothing_asked(UNSURE, say("no_interval"), say("for_no_interval"), earlier)
    if not low_g <= weight_g <= high_g:
        raise ValueError(f"an estimate of {weight_g:g} g is not within its interval, {low_g:g} to "
                         f"{high_g:g} g; give the lower end, then the upper end")
    asked = ask(visit, (weight_g, low_g, high_g), earlier)
    found = [answer for topic in asked for answer in _answers(topic)]
    line = max((line for _, _, line, _ in found), key=list(LINES).index, default="normal")
    return Advice(
        LINES[line], tuple(reason for _, _, _, reason in found if reason),
        tuple(TOPICS[topic.name] for topic in asked if topic.judged),
        tuple(NotJudged(*pair) for topic in asked for pair in topic.not_judged),
        tuple(note for topic in asked for note in topic.notes),
        {name: state for name, state, _, _ in found})


def _nothing_asked(line: str, reason: str, why: str, earlier: Sequence[Earlier]) -> Advice:
    """Advice where no rule could be asked: their topics are named at once, as none differs."""
    topics = [text for name, text in TOPICS.items() if name != "earlier" or earlier]
    return Advice(line, (reason,), not_judged=(NotJudged(listed(topics), why),))


def _answers(topic: Asked) -> Iterator[tuple[str, str, str, str]]:
    """Name, state, line and reason of each rule of a topic; "" where there is no reason to tell.

    Of the thresholds of a topic that the whole interval lies below, the lowest is told alone.
    """
    holding = [rule for rule, (_, _, high), _ in topic.rules if high < rule.below]
    told = min(holding, key=lambda rule: rule.below, default=None)
    for rule, (_, low, high), words in topic.rules:
        if high < rule.below and topic.only_if_term:
            yield rule.name, IF_TERM, "weigh", say("if_term", **words) if rule is told else ""
        elif high < rule.below:
            yield rule.name, HOLDS, rule.line, rule.sure.format(**words) if rule is told else ""
        elif low < rule.below:
            yield rule.name, PERHAPS, "unsure", rule.unsure.format(**words)
        else:
            yield rule.name, CLEAR, "normal", ""
