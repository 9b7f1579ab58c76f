"""The tables of `scaling` as two pages have them, and what a whole run would take by them.

A page holds what is printed here between two comments that name the command, so that page and
program cannot tell different things (`tests/deps_jax/reference/test_scaling_page.py`).
"""
from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from deps_jax.common.files import sealed
from deps_jax.common.nn.operations import PER_DEVICE, SYNCHRONISED
from deps_jax.reference import scaling
from deps_jax.reference.scaling import FULL, SANDWICH, Chip
from deps_jax.space.families import MOBILENET_V3
from deps_jax.space.search_space import SearchSpace

SPACE = MOBILENET_V3.with_choices(kernels=(7,))
BATCH_SIZE = 2048
# Of configs/deps_imagenet.py: 270 epochs of what is left of 1,281,167 images without 10,000 to
# validate, 145 of them of the full model alone: the ramp of the subnets ends at 150.
STEPS_PER_EPOCH = (1_281_167 - 10_000) // BATCH_SIZE
RUN = {FULL: 145 * STEPS_PER_EPOCH, SANDWICH: 125 * STEPS_PER_EPOCH}
PAGES = {"tables": Path("docs/scaling.md"), "costs": Path("docs/processes.md")}
_COMMAND = "python -m launch.scaling_plan --images_per_core"
_BLOCK = re.compile(r"(<!-- (\w+): " + re.escape(_COMMAND) + r") ([0-9.]+)( -->\n)(.*?)"
                    r"(<!-- end -->)", re.DOTALL)
KINDS = tuple(scaling.KINDS.values())


def tables(images_per_core: float, batch: int = BATCH_SIZE, synchronised: bool = True,
           chips: Sequence[Chip] = KINDS, space: SearchSpace = SPACE) -> str:
    """Steps on more and more chips of every kind, and what is assumed of the kinds, in Markdown.

    Args:
      images_per_core: Images that a core makes ready in a second, see `launch.bench_data`.
      batch: Images of a step in all.
      synchronised: Whether batch statistics are those of all chips.
      chips: The kinds.
      space: What is trained.
    """
    norm = SYNCHRONISED if synchronised else PER_DEVICE
    lines = [f"Predicted, never run: a core makes {images_per_core:g} images a second ready; "
             f"batches of {batch:,} images in all, training.batch_norm={norm}.", "",
             efficiencies(chips, space)]
    for chip in chips:
        for step in scaling.STEPS:
            rows = scaling.plan(chip, space, step, batch, images_per_core, synchronised)
            lines += ["", f"### {chip.name}, {step}", "", _plan(rows)]
        lines += ["", *(f"- {source}" for source in chip.sources)]
    return "\n".join(lines)


def efficiencies(chips: Sequence[Chip], space: SearchSpace) -> str:
    """What the assumed times of an image mean in multiply-adds a second, as a table."""
    rows = []
    for chip in chips:
        for step, pace in chip.paces.items():
            macs = scaling.macs_of(space, step)
            rows.append((chip.name, step, f"{macs / 1e9:.2f}", f"{1e6 * pace.image_s:,.0f}",
                         f"{macs / pace.image_s / 1e12:.2f}", f"{chip.peak / 1e12:.1f}",
                         f"{macs / pace.image_s / chip.peak:.1%}"))
    return _table(("chip", "step", "10^9 multiply-adds an image", "time of an image, us",
                   "10^12 a second by it", "peak, 10^12 a second", "of peak"), rows)


def costs(images_per_core: float, chips: Sequence[Chip] = KINDS, space: SearchSpace = SPACE
          ) -> str:
    """Hours and chip-hours of a run of configs/deps_imagenet.py, as a table in Markdown.

    Args: as of `tables`.
    """
    found = {chip.name: run_hours(chip, space, images_per_core) for chip in chips}
    head = ("chips", *(f"{name}, {what}" for name in found for what in ("hours", "chip-hours")))
    rows = [(f"{count}", *(text for hours in found.values() for text in (
        f"{hours[count]:,.1f}", f"{count * hours[count]:,.0f}"))) for count in scaling.CHIPS]
    return (f"Predicted, never run: {RUN[FULL]:,} full-model steps and {RUN[SANDWICH]:,} "
            f"sandwich steps of {BATCH_SIZE:,} images, with {images_per_core:g} images a second "
            f"made ready by a core.\n\n{_table(head, rows)}")


def run_hours(chip: Chip, space: SearchSpace, images_per_core: float) -> dict[int, float]:
    """Hours of the steps of a run, by number of chips."""
    hours = dict.fromkeys(scaling.CHIPS, 0.0)
    for step, count in RUN.items():
        for row in scaling.plan(chip, space, step, BATCH_SIZE, images_per_core, True):
            hours[row["chips"]] += count * row["step_ms"] / 3.6e6
    return hours


def documented(page: str) -> list[tuple[str, float, str]]:
    """Every part of a page that is printed here: its name, the images of a core, its text."""
    return [(name, float(number), body) for _, name, number, _, body, _ in _BLOCK.findall(page)]


def write(images_per_core: float, folder: Path = Path()) -> None:
    """Puts tables with another number of images into the pages.

    Args:
      folder: That of the repository.

    Raises:
      ValueError: If a page is not there, or has no place for them.
    """
    for name, path in PAGES.items():
        try:
            page = (folder / path).read_text()
        except OSError as error:
            raise ValueError(f"{folder / path} cannot be read ({error.strerror}); run this in the "
                             f"folder of the repository") from error
        if [found for found, _, _ in documented(page)] != [name]:
            raise ValueError(f"{folder / path} has not one place for {name}; put '<!-- {name}: "
                             f"{_COMMAND} 1 -->' and '<!-- end -->' around it, on lines of "
                             f"their own")
        new = {"tables": tables, "costs": costs}[name](images_per_core)
        sealed.replace(folder / path, _BLOCK.sub(
            lambda place, new=new: f"{place[1]} {images_per_core:g}{place[4]}\n{new}\n\n{place[6]}",
            page))


def _plan(rows: list[dict]) -> str:
    head = ("chips", "images a chip", "fixed", "images", "statistics", "gradients", "input",
            "step, ms", "images/s", "of linear", "of peak", "cores a chip that would do", "limit")
    return _table(head, [(
        f"{row['chips']}", f"{row['images']:g}", *(f"{row[f'{name}_ms']:.2f}" for name in (
            "fixed", "images", "statistics", "gradients", "input", "step")),
        f"{row['images_per_s']:,.0f}", f"{row['of_linear']:.0%}", f"{row['of_peak']:.2%}",
        f"{row['cores']:.1f}", row["limit"]) for row in rows])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
