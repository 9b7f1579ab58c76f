"""The printable reference card: a ruler of 20 cm for the newborn's side, as a PDF exact to the mm.

One sheet of A4 or Letter has two strips, a square of 10 cm that is measured after printing, lines
to cut along and what to do. Black marks are the rectangles of `reference_objects`, which the
renderer draws, too. The same call gives the same bytes.
"""
from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from nurture_jax.reference_objects import CHECK_MM, STRIP, STRIP_MM

MM_PER_INCH = 25.4
POINTS_PER_MM = 72 / MM_PER_INCH
# Lying: printers leave 4 to 7 mm of an edge white, and 200 mm would reach there upright.
PAPERS_MM = {"A4": (297.0, 210.0), "Letter": (11 * MM_PER_INCH, 8.5 * MM_PER_INCH)}
STRIPS_AT_MM = (160.0, 122.0)  # lower edges; the papers differ in what is left over
CHECK_AT_MM = 12.0
TEXT = (
    "1. Print at 100 % (\"actual size\"), never\n    \"fit to page\", on white matt paper.",
    "2. Measure the square: each side must be\n    10.0 cm. If it is not, print again.",
    "3. Glue the sheet on stiff card and cut out\n    one strip along the thin lines.",
    "4. Lay it flat beside the baby's trunk, on the\n    cloth; nothing covers an end.",
    "5. Tell the length: reference_cm 20.",
    "6. Wipe it after every baby. Measure it again\n    when it is bent, wet or worn.")
_STYLE = {"pdf.compression": 0, "pdf.fonttype": 42, "font.family": "DejaVu Sans"}


def card(papers: Sequence[str] = tuple(PAPERS_MM)) -> bytes:
    """The PDF, one page for each paper.

    Args:
      papers: Names of PAPERS_MM.

    Raises:
      ValueError: If there is none, or one is unknown.
    """
    if not papers or (unknown := [name for name in papers if name not in PAPERS_MM]):
        named = repr(unknown[0]) if papers else "none"
        raise ValueError(f"paper {named} is not one of {', '.join(PAPERS_MM)}; give one of them")
    buffer = io.BytesIO()
    about = {"Title": "Reference card of 20 cm", "CreationDate": None, "Creator": None,
             "Producer": None}
    with mpl.rc_context(_STYLE), PdfPages(buffer, metadata=about) as pages:
        for name in papers:
            pages.savefig(_page(name))
    return buffer.getvalue()


def _page(paper: str) -> Figure:
    """A page whose coordinates are mm from its lower left corner."""
    width, height = PAPERS_MM[paper]
    figure = Figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    left = (width - STRIP_MM[0]) / 2
    for bottom in STRIPS_AT_MM:
        _strip(axes, left, bottom)
    axes.add_patch(Rectangle((left, CHECK_AT_MM), CHECK_MM, CHECK_MM, fill=False, linewidth=0.5))
    axes.text(left + CHECK_MM / 2, CHECK_AT_MM + CHECK_MM / 2, "check: 10.0 cm on each side",
              fontsize=11, ha="center", va="center")
    for line, words in enumerate(TEXT):
        axes.text(left + CHECK_MM + 10, CHECK_AT_MM + CHECK_MM - 2 - 16 * line, words, fontsize=10,
                  va="top")
    axes.text(left, height - 8, f"Reference card of 20 cm, {paper}", fontsize=11, va="top")
    return figure


def _strip(axes: mpl.axes.Axes, left: float, bottom: float) -> None:
    """One strip: its marks, a number every cm, and lines to cut along, which end outside of it."""
    length, width = STRIP_MM
    for x, y, wide, high in STRIP:
        axes.add_patch(Rectangle((left + x, bottom + y), wide, high, color="black", linewidth=0))
    for cm in range(1, round(length / 10)):
        axes.text(left + 10 * cm, bottom + width - 9.5, str(cm), fontsize=8, ha="center", va="top")
    for y in (bottom, bottom + width):
        axes.add_line(Line2D((left - 3, left + length + 3), (y, y), linewidth=0.2, color="black"))
    for x in (left, left + length):
        axes.add_line(Line2D((x, x), (bottom - 3, bottom + width + 3), linewidth=0.2,
                             color="black"))
