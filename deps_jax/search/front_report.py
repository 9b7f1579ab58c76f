"""A searched front for people: CSV, JSON, and one HTML page whose points tell their subnet."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from deps_jax.common.command.page import render
from deps_jax.common.files import sealed
from deps_jax.evaluation.certainty import FEW_IMAGES, percent

WIDTH, HEIGHT, MARGIN = 760, 460, 60
HEADS = {"top1": "top-1", "predicted_top1": "predicted", "measured_latency_ms": "measured, ms"}
UNITS = {"macs": (1e6, "million MACs"), "params": (1e6, "million parameters"),
         "latency_ms": (1, "latency, ms"), "peak_activation_bytes": (1e3, "peak activations, kB"),
         "file_bytes_fp32": (1e6, "file, MB (fp32)"), "file_bytes_fp16": (1e6, "file, MB (fp16)"),
         "file_bytes_int8": (1e6, "file, MB (int8)")}
Place = Callable[[float, float], tuple[float, float]]  # from values to pixels
BESIDE_TOP1 = ("top1_low", "top1_high", "images")  # shown with top-1, not as columns
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd")


def write_front(folder: Path, points: Sequence[Mapping], details: Mapping) -> None:
    """Writes `front.csv` and `front.json`.

    Args:
      points: Points of the front, each with "subnet", "top1" and its costs.
      details: What else `front.json` says.
    """
    sealed.replace(folder / "front.csv", sealed.rows(points))
    sealed.write(folder / "front.json", {**details, "front": list(points)})


def write_page(path: Path, groups: Mapping[str, Sequence[Mapping]], cost: str, about: str) -> None:
    """Writes one self-contained page: top-1 over `cost`, by group, and a table of the first group.

    Hovering over a point names it.
    """
    points = next(iter(groups.values()))
    sealed.replace(path, render(__package__, "front.html.j2", title="Searched subnets", about=about,
                                chart=chart(groups, cost), table=table(points)))


def chart(groups: Mapping[str, Sequence[Mapping]], cost: str, chosen: str = "") -> dict:
    """Top-1 over `cost` by group, for `front_parts.html.j2`; `chosen` is the subnet with a ring."""
    scale, label = UNITS[cost]
    every = [point for points in groups.values() for point in points]
    xs = [point[cost] / scale for point in every]
    ys = [100 * value for point in every for value in (point["top1"], *_ends(point))]
    place = _places(xs, ys)
    marks = []
    for colour, (name, points) in zip(COLOURS, groups.items(), strict=False):
        for point in points:
            x, y = place(point[cost] / scale, 100 * point["top1"])
            whisker = [f"{place(point[cost] / scale, 100 * end)[1]:.1f}" for end in _ends(point)]
            marks.append({"whisker": whisker, "x": f"{x:.1f}", "y": f"{y:.1f}", "colour": colour,
                          "group": name.split()[0], "chosen": point["subnet"] == chosen,
                          "text": _told(point)})
    return {"width": WIDTH, "height": HEIGHT, "label": label,
            "legend": list(zip(groups, COLOURS, strict=False)), "ticks": _ticks(xs, ys, place),
            "marks": marks}


def table(points: Sequence[Mapping], chosen: str = "") -> dict:
    """Subnets with all their figures, for `front_parts.html.j2`; the chosen one is bold."""
    shown = [key for key in points[0] if key not in BESIDE_TOP1]
    return {"header": [UNITS.get(key, (1, HEADS.get(key, key)))[1] for key in shown],
            "rows": [{"chosen": point["subnet"] == chosen,
                      "cells": [_accuracy(point) if key == "top1" else _cell(key, point[key])
                                for key in shown]}
                     for point in points]}


def _told(point: Mapping) -> str:
    """What hovering over a point says: the subnet, its accuracy, its costs, a line each."""
    costs = [f"{point[key] / unit:.4g} {what}" for key, (unit, what) in UNITS.items()
             if key in point]
    return "\n".join([point["subnet"], f"{_accuracy(point)} top-1", *costs])


def _accuracy(point: Mapping) -> str:
    """Top-1 with its interval, where it is of few images; earlier versions kept no number."""
    return percent(point["top1"], point.get("images", 0))


def _ends(point: Mapping) -> list[float]:
    """Both ends of the interval of top-1, where it is of few images."""
    few = 0 < point.get("images", 0) < FEW_IMAGES
    return [point["top1_low"], point["top1_high"]] if few else []


def _places(xs: Sequence[float], ys: Sequence[float]) -> Place:
    """A function from values to pixels."""
    (left, right), (low, high) = _range(xs), _range(ys)
    return lambda x, y: (MARGIN + (x - left) / (right - left) * (WIDTH - 2 * MARGIN),
                         HEIGHT - MARGIN - (y - low) / (high - low) * (HEIGHT - 2 * MARGIN))


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _ticks(xs: Sequence[float], ys: Sequence[float], place: Place) -> list[dict]:
    """Lines of the grid in pixels, with where their numbers stand."""
    (first_x, _), (first_y, _) = _range(xs), _range(ys)
    ticks = []
    for value in _round_numbers(xs):
        x, bottom = place(value, first_y)
        ticks.append({"x1": f"{x:.1f}", "x2": f"{x:.1f}", "y1": MARGIN, "y2": f"{bottom:.1f}",
                      "x": f"{x:.1f}", "y": f"{bottom + 18:.1f}", "anchor": "middle",
                      "text": f"{value:g}"})
    for value in _round_numbers(ys):
        left, y = place(first_x, value)
        ticks.append({"x1": f"{left:.1f}", "x2": WIDTH - MARGIN, "y1": f"{y:.1f}",
                      "y2": f"{y:.1f}", "x": f"{left - 6:.1f}", "y": f"{y + 4:.1f}",
                      "anchor": "end", "text": f"{value:g}"})
    return ticks


def _round_numbers(values: Sequence[float]) -> list[float]:
    """The round numbers within the range of an axis."""
    low, high = _range(values)
    return [round(float(tick), 9) for tick in MaxNLocator(6).tick_values(low, high)
            if low <= tick <= high]


def _cell(key: str, value: str | float) -> str:
    if key in UNITS:
        return f"{value / UNITS[key][0]:.4g}"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if key.endswith("_ms") else f"{value:.2%}"
