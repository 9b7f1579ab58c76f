"""The card of a model that estimates newborn measures, filled from its run (Mitchell 2019,
doi 10.1145/3287560.3287596)."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from deps_jax.common.command.page import render
from deps_jax.common.command.source import package_version
from deps_jax.common.statistics.intervals import Number
from nurture_jax.evaluation.coverage import EVERYBODY
from nurture_jax.evaluation.detection import NOT_TOLD
from nurture_jax.growth import INTERGROWTH, PRETERM, WHO
from nurture_jax.measures import LABELS, MEASURES, TABULAR
from nurture_jax.report.content import Report
from nurture_jax.report.flow import Flow, counts_text
from nurture_jax.rules import LINES, RULES

VERSION = 3
USE = ("Research on estimating weight, length, head, chest and arm circumference of newborns up to "
       "60 days from a phone video beside a reference object of known length.")
NOT_FOR = (
    "Decisions on care without a scale: it is not a medical device and nobody has approved it.",
    "Infants older than 60 days, twins in one picture, infants under clothes or blankets.",
    "Recordings without a reference object of a length that it was trained with (reference_cm).")
SYNTHETIC = ("Trained or measured on rendered recordings: nothing here says how good it is on "
             "real newborns.")
COUNTED = {"left out": "left out, video not usable",
           "rejected": "rejected by the gate; one may fail several checks",
           "weighed": "weighed, so that the estimate can be judged"}


def fill(report: Report) -> dict:
    """The card as plain values; every number is of the run's own evaluation."""
    rows = [row for measure in LABELS if (row := report.evaluation.overall(measure))]
    coverage = {row.measure: row for row in report.coverage if row.by == EVERYBODY}
    everybody = report.evaluation.detection[0]
    untold = next((row for row in report.ways if row.what.endswith(NOT_TOLD)), None)
    return {
        "card_version": VERSION, "name": report.facts.name, "date": report.date,
        "package_version": package_version(), "git_commit": report.git_commit,
        "synthetic_data": report.facts.synthetic,
        "use": USE, "not_for": list(NOT_FOR) + ([SYNTHETIC] if report.facts.synthetic else []),
        "inputs": {"video": "frames of one recording", "numbers": list(TABULAR)},
        "outputs": {"measures": {name: MEASURES[name].unit for name in LABELS},
                    "interval": f"{report.intervals.coverage:.0%}",
                    "z_scores": [INTERGROWTH, PRETERM, WHO]},
        "training": dict(report.facts.training),
        "evaluation": {
            "split": report.facts.split, "visits": len(report.estimates),
            "infants": report.infants, "flow": dataclasses.asdict(report.flow),
            "errors": {row.measure: {
                "unit": row.unit, "visits": row.visits, "mae": dataclasses.asdict(row.mae),
                "relative_error_percent": dataclasses.asdict(row.relative_error_percent),
                "bias": dataclasses.asdict(row.bias)} for row in rows},
            "interval_coverage": {name: dataclasses.asdict(row.by_infant)
                                  for name, row in coverage.items()},
            "below_2500_g": dataclasses.asdict(everybody),
            "below_2500_g_birth_weight_withheld": untold and dataclasses.asdict(untold),
            "mae_minus_baseline": [dataclasses.asdict(row) for row in report.differences]},
        "gate": dataclasses.asdict(report.facts.limits),
        "gate_calibrated": dict(report.facts.calibrated_limits),
        "gate_not_checked": report.facts.not_checked,
        "advice": [dataclasses.asdict(rule) for rule in RULES]}


def markdown(card: Mapping) -> str:
    """The same card for people; its text is in `templates/model_card.md.j2`."""
    found = card["evaluation"]
    errors = [[measure, row["visits"], f"{_shown(row['mae'])} {row['unit']}",
               f"{_shown(row['relative_error_percent'])} %", f"{_shown(row['bias'])} {row['unit']}"]
              for measure, row in found["errors"].items()]
    return render(
        __package__, "model_card.md.j2", name=card["name"], synthetic=card["synthetic_data"],
        date=card["date"], version=card["package_version"], commit=card["git_commit"],
        use=card["use"], not_for=card["not_for"], split=found["split"],
        flow=_flow(Flow(**found["flow"])), visits=found["visits"], infants=found["infants"],
        errors=errors, interval=card["outputs"]["interval"],
        coverage=[f"{name} {_shown(share, 100)} %"
                  for name, share in found["interval_coverage"].items()],
        low=found["below_2500_g"], untold=found["below_2500_g_birth_weight_withheld"],
        differences=[[row["measure"], row["baseline"],
                      f"{_shown(row['mae_difference'])} {row['unit']}"]
                     for row in found["mae_minus_baseline"]],
        training=card["training"], z_scores=card["outputs"]["z_scores"],
        rules=[[rule["label"], LINES[rule["line"]], LINES["unsure"], rule["number_source"],
                rule["line_source"]] for rule in card["advice"]],
        not_checked=counts_text(card["gate_not_checked"]),
        limits=[*([name, f"{value:g}"] for name, value in card["gate"].items()),
                *card["gate_calibrated"].items()])


def _flow(flow: Flow) -> list[list[object]]:
    """Counts from the table to the estimates, with the reasons of those lost."""
    return [[COUNTED.get(name, name), f"{count} ({counts_text(reasons)})" if reasons else count,
             infants] for name, count, infants, reasons in flow.rows()]


def _shown(number: Mapping, factor: float = 1) -> str:
    return Number(**number).text(lambda value: f"{factor * value:.3g}")
