"""What a run found, for people: a table, CSV, JSON, a plot of accuracy over MACs, one HTML page."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import matplotlib.figure

from deps_jax.common.command.page import inline, png, render
from deps_jax.common.files import sealed
from deps_jax.common.files.workdir import flatten
from deps_jax.evaluation.certainty import FEW_IMAGES, ends, interval, percent
from deps_jax.evaluation.meter import SubnetResult

VALIDATION = "validation/"  # how names of metrics of held-out images begin, before the subnet's


def table(results: Sequence[SubnetResult]) -> str:
    """Results as text of fixed width, one line for each subnet below a head line.

    Accuracies of few images have their intervals.
    """
    lines = [("subnet", "MACs", "params", "top-1", "top-5", "loss")]
    lines += [(r.subnet, f"{r.macs / 1e6:.2f}M", f"{r.params / 1e6:.3f}M",
               percent(r.top1, r.images), percent(r.top5, r.images), f"{r.loss:.3f}")
              for r in results]
    first, *widths = (max(map(len, column)) for column in zip(*lines, strict=True))
    return "\n".join("  ".join([line[0].ljust(first), *(
        cell.rjust(width) for cell, width in zip(line[1:], widths, strict=True))])
        for line in lines)


def plain(result: SubnetResult) -> dict:
    """A result as plain values for tables, with both ends of the intervals of its accuracies."""
    return {**dataclasses.asdict(result), **ends("top1", result.top1, result.images),
            **ends("top5", result.top5, result.images)}


def write_results(folder: Path, results: Sequence[SubnetResult], details: dict) -> None:
    """Writes `subnets.csv`, `subnets.json` (with `details`) and `accuracy_over_macs.png`.

    Args:
      folder: Folder of the files.
      details: Plain values about the results; "method" among them names the line of the plot.
    """
    rows = [plain(result) for result in results]
    sealed.replace(folder / "subnets.csv", sealed.rows(rows))
    sealed.write(folder / "subnets.json", {**details, "subnets": rows})
    sealed.replace(folder / "accuracy_over_macs.png", plot_accuracy({details["method"]: results}))


def plot_accuracy(curves: dict[str, Sequence[SubnetResult]]) -> bytes:
    """Top-1 over MACs, one line for each name, as PNG; with intervals where images are few."""
    figure = matplotlib.figure.Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot(xlabel="million MACs", ylabel="top-1 accuracy, %")
    for name, results in curves.items():
        ordered = sorted(results, key=lambda result: result.macs)
        axes.errorbar([r.macs / 1e6 for r in ordered], [100 * r.top1 for r in ordered],
                      _bars(ordered), fmt="o-", capsize=3, label=name)
        for r in ordered:
            if len(r.subnet) <= 8:
                axes.annotate(r.subnet, (r.macs / 1e6, 100 * r.top1), fontsize=8,
                              textcoords="offset points", xytext=(4, -11))
    axes.grid(alpha=0.3)
    axes.margins(x=0.15, y=0.15)
    if len(curves) > 1:
        axes.legend()
    return png(figure)


def _bars(results: Sequence[SubnetResult]) -> list[list[float]] | None:
    """How far intervals reach below and above top-1, in points, [2][n]; None of many images."""
    if not all(0 < r.images < FEW_IMAGES for r in results):
        return None
    found = [interval(r.top1, r.images) for r in results]
    return [[100 * (number.value - number.low) for number in found],
            [100 * (number.high - number.value) for number in found]]


def plot_training(records: Sequence[dict]) -> bytes:
    """Losses and accuracies over steps, from the run's metrics, as PNG."""
    figure = matplotlib.figure.Figure(figsize=(9.6, 3.4), layout="constrained")
    validated = dict.fromkeys(
        name for record in records for name in record if name.startswith(VALIDATION))
    groups = (("loss", ("loss", "subnet_loss")), ("top-1", ("top1", *validated)))
    for i, (label, names) in enumerate(groups):
        axes = figure.add_subplot(1, 2, i + 1, xlabel="step", ylabel=label)
        for name in names:
            points = [(record["step"], record[name]) for record in records if name in record]
            if points:
                axes.plot(*zip(*points, strict=True), label=_label(name))
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    return png(figure)


def _label(name: str) -> str:
    """What a line of the plot is of.

    The first network of a step is the full model in most sandwiches; it is another one where that
    is trained alone, and a sampled one in OFA's phases.
    """
    if name.startswith(VALIDATION):
        return f"{name.removeprefix(VALIDATION)}, validation"
    return {"loss": "first network", "subnet_loss": "other subnets",
            "top1": "first network, training images"}[name]


def write_html(path: Path, results: Sequence[SubnetResult], details: dict, records: Sequence[dict],
               config: dict, told: str = "") -> None:
    """Writes one self-contained page: the table, both plots and every setting of the run.

    Args:
      details: As of `write_results`.
      records: Metrics of the run, see `plot_training`.
      config: Nested dict of the run's settings.
      told: What the images do not tell, above the table; see `certainty`.
    """
    rows = [(r.subnet, f"{r.macs / 1e6:.2f}", f"{r.params / 1e6:.3f}", percent(r.top1, r.images),
             percent(r.top5, r.images), f"{r.loss:.3f}") for r in results]
    sealed.replace(path, render(
        __package__, "report.html.j2", title="Subnets of one supernet", rows=rows,
        warning=told,
        about=[f"{name.replace('_', ' ')}: {value}" for name, value in details.items()],
        settings=list(flatten(config).items()),
        accuracy=inline(plot_accuracy({details["method"]: results})),
        training=inline(plot_training(records))))


def read_results(workdir: Path, split: str) -> dict:
    """The record that `write_results` left in an evaluated run, its "subnets" as SubnetResults.

    Raises:
      ValueError: If the run has no evaluation on this split, or its file is damaged or was
        edited by hand.
    """
    path = workdir / "evaluation" / split / "subnets.json"
    if not path.is_file():
        raise ValueError(f"{workdir} has no evaluation on {split}; run launch.evaluate_subnets "
                         f"--workdir {workdir} first")
    found = sealed.read(path, f"run launch.evaluate_subnets --workdir {workdir} again")
    try:
        found["subnets"] = [SubnetResult(**{name: value for name, value in result.items()
                                            if not name.endswith(("_low", "_high"))})
                            for result in found["subnets"]]
    except (AttributeError, KeyError, TypeError):
        raise ValueError(f"{path} holds no results of subnets; run launch.evaluate_subnets "
                         f"--workdir {workdir} again") from None
    return found


def curves(records: Sequence[dict]) -> dict[str, list[SubnetResult]]:
    """Results by method, each subnet's the mean over the runs of the method.

    Subnets that not all runs of a method have measured are left out.

    Args:
      records: What `read_results` gives of each run.
    """
    groups = {}
    for record in records:
        groups.setdefault(record["method"], []).append(record["subnets"])
    return {
        method: [_mean(same) for same in zip(*_aligned(runs), strict=True)]
        for method, runs in groups.items()}


def comparison(records: Sequence[dict]) -> str:
    """A Markdown table of top-1 by subnet: for each method the mean and, in brackets, every run.

    Of few images, every run has its interval.

    Args:
      records: What `read_results` gives of each run.
    """
    methods = list(dict.fromkeys(record["method"] for record in records))
    names = [result.subnet for result in curves(records)[methods[0]]]
    seeds = {m: [str(r["seed"]) for r in records if r["method"] == m] for m in methods}
    rows = []
    for name in names:
        cells = [name]
        for method in methods:
            each = [result for record in records if record["method"] == method
                    for result in record["subnets"] if result.subnet == name]
            single = ", ".join(percent(result.top1, result.images) for result in each)
            cells.append(f"{_mean(each).top1:.2%} ({single})" if each else "")
        rows.append(cells)
    return render(__package__, "comparison.md.j2", rows=rows, header=[
        "subnet", *(f"{method} (seeds {', '.join(seeds[method])})" for method in methods)])


def _aligned(runs: list[list[SubnetResult]]) -> list[list[SubnetResult]]:
    shared = set.intersection(*({result.subnet for result in run} for run in runs))
    order = [result.subnet for result in runs[0] if result.subnet in shared]
    return [[next(r for r in run if r.subnet == name) for name in order] for run in runs]


def _mean(results: Sequence[SubnetResult]) -> SubnetResult:
    average = lambda field: sum(getattr(r, field) for r in results) / len(results)
    return dataclasses.replace(results[0], top1=average("top1"), top5=average("top5"),
                               loss=average("loss"))
