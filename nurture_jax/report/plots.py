"""Plots of an evaluation. Colours are those of Okabe and Ito, told apart by the colour-blind."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import matplotlib.ticker
import numpy as np
from matplotlib.figure import Figure

from nurture_jax.evaluation.agreement import Agreement
from nurture_jax.evaluation.coverage import EVERYBODY, Coverage
from nurture_jax.evaluation.decisions import DecisionCurve
from nurture_jax.evaluation.detection import Curve, Detection
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.groups import AGE_BANDS, UNKNOWN_AGE
from nurture_jax.growth import LOW_BIRTH_WEIGHT_G
from nurture_jax.measures import LABELS, MEASURES, WEIGHT

BLUE, ORANGE, GREEN, GREY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#555555", "#CC79A7"
METHODS = tuple(zip((BLUE, ORANGE, GREEN, GREY), ("-", "--", "-.", ":"), strict=True))


def bland_altman(estimates: Estimates, agreements: Sequence[Agreement]) -> Figure:
    """Difference over mean of estimate and reference, one panel a measure, limits with their
    intervals as bands."""
    figure = _figure(9.6, 3.6 * -(-len(agreements) // 2))
    for i, row in enumerate(agreements):
        column = estimates.of(row.measure)
        estimate, truth = column.mean[column.known], column.truth[column.known]
        axes = figure.add_subplot(
            -(-len(agreements) // 2), 2, i + 1, title=MEASURES[row.measure].label,
            xlabel=f"mean of estimate and reference, {row.unit}",
            ylabel=f"estimate - reference, {row.unit}")
        axes.plot((estimate + truth) / 2, estimate - truth, ".", color=BLUE, alpha=0.5)
        axes.axhline(0, color=GREY, linewidth=0.8)
        for number, style in ((row.mean_difference, "-"), (row.lower_limit, "--"),
                              (row.upper_limit, "--")):
            axes.axhline(number.value, color=ORANGE, linestyle=style)
            if np.isfinite(number.low):
                axes.axhspan(number.low, number.high, color=ORANGE, alpha=0.15, linewidth=0)
            digits = MEASURES[row.measure].error_digits
            axes.annotate(f"{number.value:+.{digits}f}", (1, number.value),
                          xycoords=("axes fraction", "data"), xytext=(-3, 3), ha="right",
                          textcoords="offset points", color=ORANGE, fontsize=9,
                          bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5})
    return figure


def weights(estimates: Estimates) -> Figure:
    """Estimated over measured weight; the four fields that 2500 g makes."""
    figure = _figure(5.4, 4.8)
    weight = estimates.of(WEIGHT.name)
    estimate, truth = weight.mean[weight.known], weight.truth[weight.known]
    axes = figure.add_subplot(xlabel="measured weight, g", ylabel="estimated weight, g")
    limit, low = LOW_BIRTH_WEIGHT_G, truth < LOW_BIRTH_WEIGHT_G
    axes.plot(truth[~low], estimate[~low], ".", color=BLUE, alpha=0.5, label=f"{limit} g and above")
    axes.plot(truth[low], estimate[low], "^", color=ORANGE, markersize=4, alpha=0.6,
              label=f"below {limit} g")
    ends = [min(truth.min(), estimate.min()), max(truth.max(), estimate.max())]
    axes.plot(ends, ends, color=GREY, linewidth=0.8)
    for line in (axes.axhline, axes.axvline):
        line(limit, color=GREY, linestyle=":", linewidth=1)
    axes.legend(title="by the scale")
    return figure


def coverage(rows: Sequence[Coverage], asked: float) -> Figure:
    """Share of measured values within their interval by infant, by measure and band of age."""
    rows = [row for row in rows if row.by in (EVERYBODY, "visit day")]
    measures = list(dict.fromkeys(row.measure for row in rows))
    bands = [name for name in (EVERYBODY, *AGE_BANDS, UNKNOWN_AGE)
             if any(row.group == name for row in rows)]
    figure = _figure(9.6, 3.2)
    axes = figure.add_subplot(ylabel="within the interval, %")
    colours = (BLUE, ORANGE, GREEN, GREY, PURPLE)
    marks = dict(zip(LABELS, zip(colours, "o^sDv", strict=True), strict=True))
    for i, measure in enumerate(measures):
        own = [row for row in rows if row.measure == measure]
        x = [bands.index(row.group) + 0.14 * (i - (len(measures) - 1) / 2) for row in own]
        share = np.array([[*dataclasses.astuple(row.by_infant)] for row in own]).T
        colour, mark = marks[measure]
        axes.errorbar(x, 100 * share[0], 100 * np.abs(share[1:] - share[0]), fmt=mark,
                      color=colour, markersize=5, capsize=2, label=MEASURES[measure].label)
    axes.axhline(100 * asked, color=GREY, linestyle="--", linewidth=1)
    axes.set_xticks(range(len(bands)), bands)
    axes.set_ylim(min(axes.get_ylim()[0], 80), 101)
    axes.legend(ncols=len(measures), fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def roc(curves: Sequence[Curve], at_limit: Detection) -> Figure:
    """Sensitivity over false alarms of every method, and where 2500 g of the estimate lies."""
    figure = _figure(5.4, 4.8)
    axes = figure.add_subplot(xlabel="others taken for low, %", ylabel="low weight found, %")
    for row, (colour, style) in zip(curves, METHODS, strict=False):
        if row.points:
            x, y = zip(*row.points, strict=True)
            axes.plot(100 * np.array(x), 100 * np.array(y), style, color=colour,
                      label=f"{row.what}: {row.area.value:.3f}")
    axes.plot(100 - 100 * at_limit.specificity.value, 100 * at_limit.sensitivity.value, "o",
              color=BLUE, label=f"estimate below {LOW_BIRTH_WEIGHT_G} g")
    axes.legend(fontsize=9, loc="lower right")
    return figure


def decisions(curves: Sequence[DecisionCurve]) -> Figure:
    """Net benefit over the threshold, of every method and of sending everybody or nobody."""
    figure = _figure(5.4, 4.8)
    axes = figure.add_subplot(xlabel="sent to a scale from this probability of a low weight on, %",
                              ylabel="net benefit, found of 100 visits")
    for row, (colour, style) in zip(curves, METHODS, strict=False):
        axes.plot(100 * np.array(row.thresholds), [100 * each.value for each in row.benefit], style,
                  color=colour, label=row.what)
    first = curves[0]
    axes.plot(100 * np.array(first.thresholds), [100 * each.value for each in first.everybody],
              color=PURPLE, linewidth=1, label="everybody is sent")
    axes.axhline(0, color="black", linewidth=0.8, label="nobody is sent")
    best = 100 * first.low / first.visits
    axes.set_ylim(-0.3 * best, 1.1 * best)
    axes.legend(ncols=2, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def ablation(errors: Mapping[str, Sequence[float]]) -> Figure:
    """Mean absolute errors of the weight by variant, one dot a run, their mean as a bar."""
    figure = _figure(7.2, 0.6 + 0.4 * len(errors))
    axes = figure.add_subplot(xlabel="mean absolute error of the weight on test infants, g")
    for row, values in enumerate(reversed(errors.values())):
        axes.plot(values, [row] * len(values), "o", color=BLUE, alpha=0.5)
        axes.plot(np.mean(values), row, "|", color=ORANGE, markersize=16, markeredgewidth=2)
    axes.set_yticks(range(len(errors)), list(reversed(errors)))
    # Near ones are to be told apart beside one that knows nothing.
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 1.5, 2, 3, 4, 6)))
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.grid(axis="x", alpha=0.3)
    return figure


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")
