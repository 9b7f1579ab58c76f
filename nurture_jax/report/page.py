"""The report as one HTML page: the answer first, then what it rests on.

What stands where, and all text, is in `templates/report.html.j2`; here its numbers are written out.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from deps_jax.common.command.page import inline, png, render
from deps_jax.common.statistics.intervals import Number
from nurture_jax.evaluation.coverage import EVERYBODY, Coverage
from nurture_jax.evaluation.decisions import DecisionCurve
from nurture_jax.evaluation.detection import spring_scale
from nurture_jax.evaluation.evaluate import Errors
from nurture_jax.evaluation.uncertainty import MINIMUM_INFANTS
from nurture_jax.measures import LABELS, MEASURES
from nurture_jax.report import plots
from nurture_jax.report.content import Report
from nurture_jax.report.flow import counts_text
from nurture_jax.rules import LINES, RULES

ERROR_NAMES = ("mean absolute\nerror", "relative\nerror", "bias", "within\n5 %", "within\n10 %")
COUNTED = {"eligible": "in the table", "left out": "all usable",
           "captured": "videos that can be read", "rejected": "nothing was rejected",
           "predicted": "estimated", "weighed": "all can be judged by their weight"}
SHOWN_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)  # the plot has all
Rows = list[list[object]]


def page(report: Report) -> str:
    """The whole page."""
    facts, synthetic = report.facts, report.facts.synthetic
    title = f"Newborn measures from video: {facts.name}"
    agreement = report.evaluation.agreement  # a single visit has no spread, so there is none
    return render(
        __package__, "report.html.j2",
        title=f"{title} (synthetic data)" if synthetic else title, synthetic=synthetic,
        visits=len(report.estimates), infants=report.infants, split=facts.split,
        calibrated_here=facts.training.get("intervals calibrated on") == facts.split,
        few=report.infants < MINIMUM_INFANTS, minimum_infants=MINIMUM_INFANTS,
        error_names=ERROR_NAMES, errors=_headline(report),
        baselines=[f"{name}: {each.description}" for name, each in report.baselines.items()],
        flow=_flow(report), not_checked=counts_text(facts.not_checked).replace("_", " "),
        agreement=_agreement(report),
        agreement_plot=inline(png(plots.bland_altman(report.estimates, agreement)))
        if agreement else "", proportional=_proportional(report),
        reliability=_reliability(report),
        low_weight=_low_weight(report), weight_plot=inline(png(plots.weights(report.estimates))),
        areas=_areas(report),
        roc_plot=inline(png(plots.roc(report.curves, report.evaluation.detection[0])))
        if any(each.points for each in report.curves) else "",
        thresholds=tuple(f"from {at:.0%}" for at in SHOWN_THRESHOLDS), decisions=_decisions(report),
        decision_plot=inline(png(plots.decisions(report.decisions)))
        if any(each.low for each in report.decisions) else "",
        forecasts=_forecasts(report), compared=_compared(report),
        coverage_asked=f"{report.intervals.coverage:.0%}",
        coverage=[(title, _coverage(rows)) for title, rows in _coverages(report) if rows],
        coverage_plot=inline(png(plots.coverage(report.coverage, report.intervals.coverage)))
        if report.coverage else "", other=facts.other, recalibrated=facts.recalibrated,
        interval_notes=report.intervals.notes(), groups=_groups(report),
        advice=[[line, report.advice.get(line, 0)] for line in LINES.values()],
        not_judged=[list(row) for row in report.not_judged.items()],
        rules=[[rule.label, LINES[rule.line], LINES["unsure"], rule.number_source,
                rule.line_source] for rule in RULES],
        standards=_standards(report), heaping=_heaping(report), repeats=_repeats(report),
        run=list({"date": report.date, "code": report.git_commit, "bootstrap seed": report.seed,
                  **facts.training, **facts.calibrated_limits}.items()))


def _headline(report: Report) -> Rows:
    rows = []
    evaluations = {"model": report.evaluation, **report.of_baselines}
    against = {(row.measure, row.baseline): row for row in report.differences}
    for measure in LABELS:
        for name, evaluation in evaluations.items():
            row = evaluation.overall(measure)
            if row:
                other = against.get((measure, name))
                label = MEASURES[measure].label if name == "model" else ""
                rows.append([label, name, *_errors(row),
                             _number(other.mae_difference, measure, sign=True) if other else ""])
    return rows


def _flow(report: Report) -> Rows:
    """Boxes: name, visits, infants, and the reasons or what is counted."""
    rows = []
    for name, count, infants, reasons in report.flow.rows():
        if name == "rejected" and report.flow.gated:
            count = f"{count} ({report.flow.reject_rate:.1%})"
        rows.append([name, count, infants,
                     counts_text(reasons).replace("_", " ") or COUNTED[name]])
    return rows


def _agreement(report: Report) -> Rows:
    return [[MEASURES[row.measure].label, row.visits,
             *(_number(value, row.measure, sign=True)
               for value in (row.mean_difference, row.lower_limit, row.upper_limit))]
            for row in report.evaluation.agreement]


def _proportional(report: Report) -> Rows:
    return [[MEASURES[row.measure].label, row.visits, _percent(row.slope, 1, sign=True),
             _percent(row.spread_slope, 1, sign=True), "yes" if row.grows else "not shown",
             *(_percent(each, 1, sign=True) for each in (
                 row.mean_percent, row.lower_percent, row.upper_percent))]
            for row in report.evaluation.proportional]


def _reliability(report: Report) -> Rows:
    return [[MEASURES[row.measure].label, row.what, row.pairs, _shown(row.icc, "{:.3f}".format, "")]
            for row in report.evaluation.reliability]


def _low_weight(report: Report) -> Rows:
    rows = (*report.evaluation.detection, *report.ways, spring_scale())
    return [[row.what, row.found, row.missed, row.false_alarms, row.rightly_left,
             *(_percent(each, 100) for each in (
                 row.sensitivity, row.specificity, row.ppv, row.npv))] for row in rows]


def _areas(report: Report) -> Rows:
    return [[row.what, row.visits, row.low, _shown(row.area, "{:.3f}".format, "")]
            for row in report.curves]


def _decisions(report: Report) -> Rows:
    """Net benefits for 100 visits: of every method, then of sending everybody."""
    def row(name: str, curve: DecisionCurve, numbers: Sequence[Number]) -> list[object]:
        at = dict(zip(curve.thresholds, numbers, strict=True))
        return [name, curve.visits, curve.low,
                *(_shown(at[each], lambda value: f"{100 * value:.1f}", "", True)
                  for each in SHOWN_THRESHOLDS)]

    curves = [each for each in report.decisions if each.low]
    everybody = {(each.visits, each.low): each for each in curves}  # not all judge the same visits
    return [*(row(each.what, each, each.benefit) for each in curves),
            *(row("everybody is sent", each, each.everybody) for each in everybody.values())]


def _forecasts(report: Report) -> Rows:
    return [[MEASURES[row.measure].label, row.method, row.visits,
             *(_number(each, row.measure) if math.isfinite(each.value) else "no interval"
               for each in (row.crps, row.interval_score))]
            for measure in LABELS for row in report.forecasts if row.measure == measure]


def _compared(report: Report) -> Rows:
    return [[row.what, row.of_estimated, _percent(row.estimated, 100), row.of_rejected,
             _percent(row.rejected, 100)] for row in report.compared]


def _coverages(report: Report) -> list[tuple[str, Sequence[Coverage]]]:
    """Tables of coverage, each with its title."""
    return [("Coverage" + (" after the intervals were calibrated again" if report.coverage_before
                           else ""), report.coverage),
            ("Coverage before that", report.coverage_before),
            ("Coverage of infants whose birth weight was withheld", report.coverage_withheld)]


def _coverage(rows: Sequence[Coverage]) -> Rows:
    return [[MEASURES[row.measure].label, row.by, row.group, row.visits, row.infants,
             _percent(row.by_infant, 100), _percent(row.by_visit, 100),
             MEASURES[row.measure].error(row.mean_width)] for row in rows]


def _groups(report: Report) -> list[tuple[str, Rows]]:
    """Measures that any group has, each with its rows."""
    found = []
    for measure in LABELS:
        rows, last = [], None
        for row in report.evaluation.errors:
            if row.measure == measure and row.by != EVERYBODY:
                rows.append([row.by if row.by != last else "", row.group, row.visits,
                             row.infants, *_errors(row)])
                last = row.by
        if rows:
            found.append((MEASURES[measure].label.capitalize(), rows))
    return found


def _standards(report: Report) -> Rows:
    return [["" if i else MEASURES[measure].label, name, count]
            for measure, found in report.standards.items()
            for i, (name, count) in enumerate(found.items())]


def _heaping(report: Report) -> Rows:
    unit = lambda row: MEASURES[row.measure].unit
    return [[MEASURES[row.measure].label, row.visits, f"{row.round_to:g} {unit(row)}",
             f"{row.share:.1%}", f"{row.expected:.1%}", f"{row.reading:g} {unit(row)}"]
            for row in report.heaping]


def _repeats(report: Report) -> Rows:
    return [[MEASURES[row.measure].label, row.what, row.repeated,
             MEASURES[row.measure].error(row.error), f"{row.percent:.2f} %"]
            for row in report.technical_errors]


def _errors(row: Errors) -> list[str]:
    """In the order of ERROR_NAMES."""
    return [_number(row.mae, row.measure), _percent(row.relative_error_percent, 1, 2),
            _number(row.bias, row.measure, sign=True), _percent(row.within_5_percent, 100),
            _percent(row.within_10_percent, 100)]


def _number(number: Number, measure: str, *, sign: bool = False) -> str:
    return _shown(number, MEASURES[measure].error_text, MEASURES[measure].unit, sign)


def _percent(number: Number, factor: float, digits: int = 1, *, sign: bool = False) -> str:
    return _shown(number, lambda value: f"{factor * value:.{digits}f}", "%", sign)


def _shown(number: Number, show: Callable[[float], str], unit: str, sign: bool = False) -> str:
    """The value, and its interval on a second line; neither is broken in the middle."""
    if math.isnan(number.value):
        return "no case"
    text = number.text(show, unit=unit, sign=sign, interval="\n{} to {}")
    return text.replace(" ", "\N{NO-BREAK SPACE}")
