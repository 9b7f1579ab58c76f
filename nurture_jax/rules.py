"""Rules, thresholds and sentences of the plain line, out of `rules.json`: one table for all places.

The file is read by people, by this package and by whatever shows a plain line elsewhere. Nothing
but the standard library is imported, so that an estimate from a file needs no more.
"""
from __future__ import annotations

import dataclasses
import json
from pathlib import Path

TABLE = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
OUR_CHOICE = "our choice"
BORN = ("term", "preterm", "unknown")


@dataclasses.dataclass(frozen=True)
class Rule:
    """One threshold of the weight, its z-score or its change.

    Attributes:
      name: Name in files.
      topic: What it is a rule of: "weight" in g, "z", "birth" in percent of the birth weight, or
        "earlier" in g since an earlier visit.
      below: The threshold: the rule holds for values below it.
      line: Name of the line where all of the interval lies below; where only a part does, the line
        is "unsure".
      label: The rule in words, as in "weight under LABEL".
      sure, unsure: The reason in words, if all of the interval lies below and if a part does.
      number_source, line_source: Where the threshold and the line are from.
      from_day: First day of age for which it is a rule.
      earlier_from_day: First day of age of an earlier visit that is compared.
      born: For which infants it is a rule, out of BORN.
    """

    name: str
    topic: str
    below: float
    line: str
    label: str
    sure: str
    unsure: str
    number_source: str
    line_source: str
    from_day: float | None = None
    earlier_from_day: float | None = None
    born: tuple[str, ...] = BORN


RULES = tuple(Rule(**{**row, "born": tuple(row.get("born", BORN))}) for row in TABLE["rules"])
LINES = {row["name"]: row["text"] for row in TABLE["lines"]}  # from mild to urgent
TOPICS = {row["name"]: row["text"] for row in TABLE["topics"]}
PRETERM_BELOW_DAYS = TABLE["preterm_below_days"]["value"]
AT_BIRTH_DAYS = TABLE["at_birth_days"]["value"]
# Name, words and limit in g from light to heavy; the last has no limit.
BIRTH_WEIGHT_CLASSES = tuple((row["name"], row["text"], row["below_g"])
                             for row in TABLE["birth_weight_classes"])


def say(name: str, **parts: object) -> str:
    """A sentence of the table, with its parts in the places of their names."""
    return TABLE["texts"][name].format(**parts)


def listed(words: list[str]) -> str:
    """Words as a person lists them: "age, sex and birth weight"."""
    if len(words) < 2:
        return "".join(words)
    return say("and", first=", ".join(words[:-1]), last=words[-1])


def weeks_text(days: float) -> str:
    """An age since the last period, such as "38+3 weeks"; a part of a day is left out."""
    return say("weeks", weeks=int(days // 7), days=int(days % 7))
