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
from nurture_jax.clinic.cells import estimated, known
from nurture_jax.clinic.recording_gate import Gate
from nurture_jax.evaluation.baselines import Baseline
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.intervals import Intervals
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
    not_done = {visit.key: gate.not_done for visit, gate in gated}
    for row in rows:
        visit = f"{row['infant_id']}/{row['visit_id']}"
        row["gate_not_checked"] = "; ".join(not_done.get(visit, ()))
    return sealed.rows(rows)


def _json(content: dict) -> str:
    """JSON has no nan; null stands for what is not known."""
    return json.dumps(sealed.finite(content), indent=2, allow_nan=False, default=str) + "\n"
