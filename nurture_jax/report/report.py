"""The report of one split: table of visits, numbers as JSON, a page for people, the model's card.

    predictions.csv      one row a visit: measured, estimated, interval, z-score with its standard
    evaluation.json      every number of the page, and those of the baselines
    report.html          one page, nothing loaded from anywhere
    model_card.json, .md what the model is for, how good it is, where it ends

Start with `write`.
"""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from deps_jax.common.files import sealed
from nurture_jax.clinic.assessment import Assessment
from nurture_jax.clinic.recording_gate import Gate
from nurture_jax.evaluation.baselines import Baseline
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.intervals import Intervals
from nurture_jax.growth import birth_weight_class, weight_band
from nurture_jax.measures import LABELS, MEASURES
from nurture_jax.records.visit import Visit
from nurture_jax.report import model_card
from nurture_jax.report import page as report_page
from nurture_jax.report.content import Report, build
from nurture_jax.report.facts import RunFacts


def write(folder: Path, estimates: Estimates, baselines: Mapping[str, Baseline],
          intervals: Intervals, facts: RunFacts, seed: int = 0, *,
          withheld: Estimates | None = None, before: Intervals | None = None) -> Report:
    """Evaluates the estimates of a split and writes all files into `folder`.

    Args:
      estimates: of the visits that the gate let through.
      baselines: of the same visits, by name (`fit_baselines`).
      intervals: calibrated on other infants.
      withheld: the same visits estimated without their birth weights; None where they were not.
      before: intervals before they were calibrated again for this data set; None where they are
        the same.

    Raises:
      ValueError: where counts of visits do not add up, or no weight was measured.
    """
    report = build(estimates, baselines, intervals, facts, seed, withheld=withheld, before=before)
    folder, card = Path(folder), model_card.fill(report)
    for name, content in (("predictions.csv", predictions(report.assessments, facts.gated)),
                          ("evaluation.json", _json(report.numbers())),
                          ("report.html", report_page.page(report)),
                          ("model_card.json", _json(card)),
                          ("model_card.md", model_card.markdown(card))):
        sealed.replace(folder / name, content)
    return report


def predictions(assessments: Sequence[Assessment], gated: Sequence[tuple[Visit, Gate]] = ()) -> str:
    """CSV, one row a visit: those estimated, then those the gate rejected, with its reasons."""
    rows = [{**known(found.visit), **estimated(found), "gate": "accepted" if gated else "none"}
            for found in assessments]
    rows += [{**known(visit), "gate": "rejected",
              "gate_reasons": "; ".join(map(str, gate.failures))}
             for visit, gate in gated if not gate.accepted]
    return sealed.rows(rows)


def known(visit: Visit) -> dict:
    """What was known and measured without the video; empty cells for None."""
    names = ("infant_id", "visit_id", "age_days", "sex", "gestational_age_days", "birth_weight_g",
             "site", "device", "body", "reference_cm")
    return {name: getattr(visit, name) for name in names} | {
        f"{measure}_measured": getattr(visit, measure) for measure in LABELS} | {
        "weight_band_measured": weight_band(visit.weight_g) if visit.weight_g else None,
        "birth_weight_class": birth_weight_class(visit.birth_weight_g)
        if visit.birth_weight_g else None}


def estimated(found: Assessment) -> dict:
    """What is said of a visit, as cells by column."""
    row, told = {}, found.plain()
    for measure in LABELS:
        plain = told["measures"].get(measure, {"standard": "none: not estimated"})
        digits = MEASURES[measure].error_digits + 1
        rounded = {"estimate": digits, "low": digits, "high": digits, "z": 3, "centile": 2}
        row |= {f"{measure}_{name.replace('estimate', 'estimated')}": _rounded(
            plain.get(name), places) for name, places in rounded.items()}
        row[f"{measure}_standard"] = plain["standard"]
    # It is of the infant, so the same for every measure that has a standard.
    why = next(filter(None, (row.get("standard_because") for row in told["measures"].values())), "")
    change = "change_from_birth_weight_percent"
    return row | {
        "standard_because": why, "weight_band_estimated": told["weight_band"],
        change: _rounded(told[change], 2), "lacks": "; ".join(told["lacks"]),
        "advice": told["advice"], "advice_reasons": "; ".join(told["advice_reasons"]),
        "advice_not_judged": "; ".join(told["advice_not_judged"]),
        "advice_notes": "; ".join(told["advice_notes"])}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _json(content: dict) -> str:
    """JSON has no nan; null stands for what is not known."""
    return json.dumps(sealed.finite(content), indent=2, allow_nan=False, default=str) + "\n"
