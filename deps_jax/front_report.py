"""A searched front for people: CSV, JSON, and one HTML page whose points tell their subnet."""
from __future__ import annotations

import csv
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from deps_jax.common.page import page

WIDTH, HEIGHT, MARGIN = 760, 460, 60
HEADS = {"top1": "top-1", "predicted_top1": "predicted", "measured_latency_ms": "measured, ms"}
UNITS = {"macs": (1e6, "million MACs"), "params": (1e6, "million parameters"),
         "latency_ms": (1, "latency, ms"), "peak_activation_bytes": (1e3, "peak activations, kB"),
         "file_bytes_fp32": (1e6, "file, MB (fp32)"), "file_bytes_fp16": (1e6, "file, MB (fp16)"),
         "file_bytes_int8": (1e6, "file, MB (int8)")}
STYLE = """
table { font-size: 14px; display: block; overflow-x: auto } td, th { padding: .2rem .6rem }
td:first-child { font-family: monospace; font-size: 12px } circle { opacity: .8 }
circle:hover { opacity: 1; stroke: black; stroke-width: 2 } text { font-size: 12px }
.chosen td { font-weight: bold }
"""
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd")


def write_front(folder: Path, points: Sequence[Mapping], details: Mapping) -> None:
    """`front.csv` and `front.json` (with `details`); a point has subnet, top1 and its costs."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "front.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(points[0]))
        writer.writeheader()
        writer.writerows(points)
    (folder / "front.json").write_text(
        json.dumps({**details, "front": list(points)}, indent=2) + "\n")


def write_page(path: Path, groups: Mapping[str, Sequence[Mapping]], cost: str, about: str) -> None:
    """One self-contained page: top-1 over `cost`, by group; hovering over a point names it."""
    points = next(iter(groups.values()))
    path.write_text(page("Searched subnets", f"<p>{html.escape(about)}\n{chart(groups, cost)}\n"
                         f"{table(points)}", STYLE))


def chart(groups: Mapping[str, Sequence[Mapping]], cost: str, chosen: str = "") -> str:
    """Top-1 over `cost` by group, as a part of a page; `chosen` is the subnet with a ring."""
    scale, label = UNITS[cost]
    xs, ys = ([point[key] / unit for points in groups.values() for point in points]
              for key, unit in ((cost, scale), ("top1", 0.01)))
    place = _places(xs, ys)
    marks = []
    for colour, (name, points) in zip(COLOURS, groups.items(), strict=False):
        for point in points:
            x, y = place(point[cost] / scale, 100 * point["top1"])
            text = html.escape(f"{point['subnet']}\n{point['top1']:.2%} top-1\n" + "\n".join(
                f"{point[key] / unit:.4g} {what}" for key, (unit, what) in UNITS.items()
                if key in point))
            ring = ' stroke="black" stroke-width="2"' * (point["subnet"] == chosen)
            marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"{ring} class="'
                         f'{html.escape(name.split()[0])}"><title>{text}</title></circle>')
    legend = " ".join(f'<span style="color:{colour}">&#9679;</span> {html.escape(name)}'
                      for colour, name in zip(COLOURS, groups, strict=False))
    return f"""<p>{legend}
<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="top-1 accuracy over {label}">
{_axes(xs, ys, place, label)}{"".join(marks)}</svg>
<p>Hover over a point for its subnet and costs."""


def table(points: Sequence[Mapping], chosen: str = "") -> str:
    """Subnets with all their figures, as a part of a page; the chosen one is bold."""
    head = "".join(f"<th>{html.escape(UNITS.get(key, (1, HEADS.get(key, key)))[1])}"
                   for key in points[0])
    rows = "".join(
        f"<tr{' class=chosen' * (point['subnet'] == chosen)}>"
        + "".join(f"<td>{_cell(key, value)}" for key, value in point.items())
        for point in points)
    return f"<table><tr>{head}{rows}</table>"


def _places(xs, ys):
    """A function from values to pixels."""
    (left, right), (low, high) = _range(xs), _range(ys)
    return lambda x, y: (MARGIN + (x - left) / (right - left) * (WIDTH - 2 * MARGIN),
                         HEIGHT - MARGIN - (y - low) / (high - low) * (HEIGHT - 2 * MARGIN))


def _range(values) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _axes(xs, ys, place, label: str) -> str:
    lines = []
    for value in _ticks(xs):
        x, bottom = place(value, _range(ys)[0])
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{MARGIN}" y2="{bottom:.1f}" '
                     f'stroke="#ddd"/><text x="{x:.1f}" y="{bottom + 18:.1f}" '
                     f'text-anchor="middle">{value:g}</text>')
    for value in _ticks(ys):
        left, y = place(_range(xs)[0], value)
        lines.append(f'<line x1="{left:.1f}" x2="{WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}" '
                     f'stroke="#ddd"/><text x="{left - 6:.1f}" y="{y + 4:.1f}" '
                     f'text-anchor="end">{value:g}</text>')
    lines.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 14}" text-anchor="middle">{label}</text>'
                 f'<text x="14" y="{HEIGHT / 2}" transform="rotate(-90 14 {HEIGHT / 2})" '
                 f'text-anchor="middle">top-1 accuracy, %</text>')
    return "\n".join(lines)


def _ticks(values) -> list[float]:
    """Round numbers within the range of an axis."""
    low, high = _range(values)
    return [round(float(tick), 9) for tick in MaxNLocator(6).tick_values(low, high)
            if low <= tick <= high]


def _cell(key: str, value) -> str:
    if key in UNITS:
        return f"{value / UNITS[key][0]:.4g}"
    if not isinstance(value, float):
        return html.escape(str(value))
    return f"{value:.3f}" if key.endswith("_ms") else f"{value:.2%}"
