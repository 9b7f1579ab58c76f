"""The report as one HTML page: the answer first, then what it rests on."""
from __future__ import annotations

import html
import math
from collections.abc import Sequence

from deps_jax.common.page import page, picture, table
from nurture_jax import plots
from nurture_jax.advice import LINES, RULES
from nurture_jax.clip_batches import LABELS
from nurture_jax.evaluate import EVERYBODY, UNITS, Errors, spring_scale
from nurture_jax.plots import NAMES
from nurture_jax.report_content import Report
from nurture_jax.uncertainty import MINIMUM_INFANTS, Number

STYLE = """
body { max-width: 72rem } h2 { margin-top: 2.4rem } .scroll { overflow-x: auto }
.warning { border-left: .4rem solid #D55E00; padding: .4rem 1rem; background: #fdf1ea }
table { font-size: 14px; line-height: 1.35; margin: .6rem 0 }
td, th { white-space: pre-line; vertical-align: top } th { border-bottom: 1px solid #555 }
.words td:nth-child(2), .words th:nth-child(2) { text-align: left }
.flow { display: flex; gap: .8rem; flex-wrap: wrap }
.flow div { border: 1px solid #555; border-radius: .3rem; padding: .4rem .8rem; font-size: 14px }
.flow b { display: block; font-size: 1.4rem }
"""


def render(report: Report) -> str:
    """The whole page."""
    facts = report.facts
    title = f"Newborn measures from video: {facts.name}"
    warning = ""
    if facts.synthetic:
        title += " (synthetic data)"
        warning = ('<p class="warning"><b>Synthetic data.</b> Every recording was rendered by a '
                   'program. The numbers say how well the method works on such recordings, not on '
                   'newborns.</p>')
    few = report.infants < MINIMUM_INFANTS
    intervals = "too few infants for intervals" if few else "below each number its 95 % interval"
    parts = [
        warning, f"<p>{len(report.estimates)} visits of {report.infants} infants of the "
        f"{html.escape(facts.split)} split, none of them seen in training; {intervals}.</p>",
        _headline(report), _flow(report), _agreement(report), _low_weight(report),
        _intervals(report), _groups(report), _advice(report), _reference(report), _run(report)]
    return page(title, "\n".join(parts), STYLE)


def _headline(report: Report) -> str:
    rows = []
    evaluations = {"model": report.evaluation, **report.of_baselines}
    against = {(row.measure, row.baseline): row for row in report.differences}
    for measure in LABELS:
        for name, evaluation in evaluations.items():
            row = evaluation.overall(measure)
            if row:
                other = against.get((measure, name))
                rows.append([NAMES[measure] if name == "model" else "", name, *_errors(row),
                             _number(other.mae_difference, measure, sign=True) if other else ""])
    described = "".join(f"<li>{html.escape(name)}: {html.escape(each.description)}"
                        for name, each in report.baselines.items())
    return ("<h2>How near</h2>" + _table(
        ["measure", "method", *_ERRORS, "error of the model\nminus the baseline's"], rows)
        + f"<p>The baselines see no video:<ul>{described}</ul>")


def _flow(report: Report) -> str:
    flow = report.flow
    reasons = lambda counts: ", ".join(f"{name.replace('_', ' ')} {count}"
                                       for name, count in counts.items())
    rejected = f"{flow.rejected} ({flow.reject_rate:.1%})" if flow.gated else "no gate used"
    boxes = [("eligible", flow.eligible, "visits of the split"),
             ("left out", sum(flow.left_out.values()), reasons(flow.left_out) or "all usable"),
             ("captured", flow.captured, "videos that can be read"),
             ("rejected", rejected, reasons(flow.rejected_by_check) or "nothing was rejected"),
             ("predicted", flow.predicted, "all numbers here are of these")]
    cells = "".join(f"<div>{html.escape(name)}<b>{html.escape(str(count))}</b>"
                    f"{html.escape(what)}</div>" for name, count, what in boxes)
    return (f'<h2>Flow of visits</h2><div class="flow">{cells}</div>'
            f"<p>A recording may be rejected for several reasons.")


def _agreement(report: Report) -> str:
    rows = [[NAMES[row.measure], str(row.visits),
             *(_number(value, row.measure, sign=True)
               for value in (row.mean_difference, row.lower_limit, row.upper_limit))]
            for row in report.evaluation.agreement]
    if not rows:
        return ""  # a single visit has no spread
    return ("<h2>Agreement with the reference (Bland and Altman)</h2>" + _table(
        ["measure", "visits", "mean difference", "lower 95 %\nlimit", "upper 95 %\nlimit"], rows)
        + picture(plots.bland_altman(report.estimates, report.evaluation.agreement),
                  "difference over mean of estimate and reference, by measure"))


def _low_weight(report: Report) -> str:
    percent = lambda value: _percent(value, 100)
    rows = [[row.what, str(row.found), str(row.missed), str(row.false_alarms),
             str(row.rightly_left), percent(row.sensitivity), percent(row.specificity)]
            for row in (*report.evaluation.detection, report.screening, spring_scale())]
    return ("<h2>Weight below 2500 g</h2>" + _table(
        ["visits", "found", "missed", "false alarms", "rightly left", "sensitivity",
         "specificity"], rows)
        + "<p>Wilson intervals. A visit whose interval reaches below 2500 g is sent to a scale or "
          "referred. The last row was published of a scale, another country and other "
          "infants; it is a yardstick, no comparison."
        + f"<p>{picture(plots.weights(report.estimates), 'estimated over measured weight')}")


def _intervals(report: Report) -> str:
    rows = [[NAMES[row.measure], row.band, str(row.visits), str(row.infants),
             _percent(row.share, 100), _percent(row.by_infant, 100),
             plots.number(row.mean_width, row.measure)] for row in report.coverage]
    notes = "".join(f"<li>{html.escape(note)}" for note in report.intervals.notes())
    asked = report.intervals.coverage
    return (f"<h2>Intervals that should cover {asked:.0%}</h2>"
            + picture(plots.coverage(report.coverage, asked), "coverage by measure and age")
            + _details("Table", _table(
                ["measure", "age", "visits", "infants", "covered (Wilson)",
                 "covered (by infant)", "mean width"], rows) + f"<ul>{notes}</ul>"))


def _groups(report: Report) -> str:
    parts = []
    for measure in LABELS:
        rows, last = [], None
        for row in report.evaluation.errors:
            if row.measure == measure and row.by != EVERYBODY:
                rows.append([row.by if row.by != last else "", row.group, str(row.visits),
                             str(row.infants), *_errors(row)])
                last = row.by
        if rows:
            parts.append(_details(NAMES[measure].capitalize(), _table(
                ["by", "group", "visits", "infants", *_ERRORS], rows), measure == LABELS[0]))
    return (f"<h2>By group</h2><p>Groups of fewer than {MINIMUM_INFANTS} infants have no interval."
            + "".join(parts))


def _advice(report: Report) -> str:
    counts = [[line, str(report.advice.get(line, 0))] for line in LINES]
    rules = [[rule.under, rule.sure, rule.only_estimate, rule.source] for rule in RULES]
    standards = [["" if i else NAMES[measure], name, str(count)]
                 for measure, found in report.standards.items()
                 for i, (name, count) in enumerate(found.items())]
    return ("<h2>Advice and growth standards</h2>" + _table(["advice", "visits"], counts)
            + _details("Rules", _table(["weight under", "all of the interval",
                                        "only the estimate", "source"], rules))
            + _details("Standards of the z-scores", _table(
                ["measure", "standard", "visits"], standards), True))


def _reference(report: Report) -> str:
    heaps = [[NAMES[row.measure], str(row.visits), f"{row.round_to:g} {UNITS[row.measure]}",
              f"{row.share:.1%}", f"{row.expected:.1%}", f"{row.reading:g} {UNITS[row.measure]}"]
             for row in report.heaping]
    repeats = [[NAMES[row.measure], row.what, str(row.repeated),
                plots.number(row.error, row.measure), f"{row.percent:.2f} %"]
               for row in report.technical_errors]
    repeated = _table(["measure", "of", "repeats", "technical error", "relative"], repeats) \
        if repeats else "<p>No infant was measured twice on a day: no technical error."
    return ("<h2>The reference itself</h2>" + _table(
        ["measure", "visits", "round to", "round values", "expected", "reading"], heaps)
        + repeated)


def _run(report: Report) -> str:
    facts = {"date": report.date, "code": report.git_commit, "bootstrap seed": report.seed,
             **report.facts.training}
    return "<h2>The run</h2>" + _table(
        ["what", "value"], [[str(name), str(value)] for name, value in facts.items()])


_ERRORS = ("mean absolute\nerror", "relative\nerror", "bias", "within\n5 %", "within\n10 %")


def _errors(row: Errors) -> list[str]:
    return [_number(row.mae, row.measure), _percent(row.relative_error_percent, 1, 2),
            _number(row.bias, row.measure, sign=True), _percent(row.within_5_percent, 100),
            _percent(row.within_10_percent, 100)]


def _number(number: Number, measure: str, *, sign: bool = False) -> str:
    return _shown(number, lambda value: ("+" if sign and value > 0 else "")
                  + plots.number(value, measure).split()[0], UNITS[measure])


def _percent(number: Number, factor: float, digits: int = 1) -> str:
    return _shown(number, lambda value: f"{factor * value:.{digits}f}", "%")


def _shown(number: Number, text, unit: str) -> str:
    """The value, and its interval on a second line; neither is broken in the middle."""
    if math.isnan(number.value):
        return "no case"
    interval = f"\n{text(number.low)} to {text(number.high)}" if math.isfinite(number.low) else ""
    return f"{text(number.value)} {unit}{interval}".replace(" ", "\N{NO-BREAK SPACE}")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    words = any(row[1][:1].isalpha() for row in rows)  # a second column of names
    return f'<div class="scroll{" words" if words else ""}">{table(header, rows)}</div>'


def _details(title: str, body: str, shown: bool = False) -> str:
    return (f"<details{' open' if shown else ''}><summary>{html.escape(title)}</summary>"
            f"{body}</details>")
