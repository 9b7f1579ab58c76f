"""The figure of a comparison: accuracy over multiply-adds, cost beside, the largest on the way."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
from matplotlib.axes import Axes

from deps_jax.common.command.page import png
from deps_jax.comparison.summary import ALL, Spread, by_devices, names, subnets, top1


def picture(records: Sequence[Mapping], reference: str, split: str) -> bytes:
    """The figure as PNG; its third part is there where runs were validated on the way.

    Args:
      split: Split that the runs were measured on.
    """
    validated = any(record["largest_on_validation"] for record in records)
    widths = [1.6, 0.8] + [1.2] * validated
    figure = matplotlib.figure.Figure(figsize=(3.6 * sum(widths), 4.4), layout="constrained")
    axes = figure.subplots(1, len(widths), width_ratios=widths)
    runs = names(records, reference)
    _accuracy(axes[0], records, runs)
    axes[0].set_ylabel(f"top-1 accuracy on {split} images, %")
    _cost(axes[1], records, runs)
    if validated:
        _on_the_way(axes[2], records, runs)
    return png(figure)


def _accuracy(axes: Axes, records: Sequence[Mapping], runs: Sequence[str]) -> None:
    """Means over seeds; bars from the worst seed to the best."""
    macs = subnets(records)
    for i, name in enumerate(runs):
        found = {subnet: seeds for subnet, seeds in top1(records, name).items() if subnet != ALL}
        shown = [subnet for subnet in macs if subnet in found]
        means = [Spread.of(found[subnet].values()).mean for subnet in shown]
        below = [100 * (mean - min(found[subnet].values()))
                 for mean, subnet in zip(means, shown, strict=True)]
        above = [100 * (max(found[subnet].values()) - mean)
                 for mean, subnet in zip(means, shown, strict=True)]
        axes.errorbar([macs[subnet] / 1e6 for subnet in shown], [100 * mean for mean in means],
                      (below, above), fmt="o-" if len(shown) > 1 else "D", capsize=3,
                      color=f"C{i % 10}", label=name)
    axes.set(xlabel="million MACs")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))  # on no line


def _cost(axes: Axes, records: Sequence[Mapping], runs: Sequence[str]) -> None:
    """Measured cost as a part of the budget, with the minutes of a run where these compare."""
    places, comparable = range(len(runs)), len(by_devices(records)) == 1
    for i, name in zip(places, runs, strict=True):
        own = [record for record in records if record["name"] == name]
        part = Spread.of(record["measured_macs"] / record["budget_macs"] for record in own).mean
        minutes = Spread.of(record["seconds"] / 60 for record in own).mean
        axes.barh(i, part, color=f"C{i % 10}")
        if comparable:
            axes.text(0.02, i, f"{minutes:.3g} min", va="center", fontsize=8)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set(xlabel="multiply-adds, parts of the budget", yticks=list(places), yticklabels=runs)
    axes.invert_yaxis()


def _on_the_way(axes: Axes, records: Sequence[Mapping], runs: Sequence[str]) -> None:
    """Top-1 of the largest network on validation images while training, a line for each run."""
    for i, name in enumerate(runs):
        own = [record for record in records
               if record["name"] == name and record["largest_on_validation"]]
        for j, record in enumerate(own):
            steps, values = zip(*record["largest_on_validation"], strict=True)
            axes.plot([step / record["steps"] for step in steps], [100 * value for value in values],
                      color=f"C{i % 10}", label=None if j else name, linewidth=1)
    axes.set(xlabel="part of the run's steps", ylabel="largest, validation, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
