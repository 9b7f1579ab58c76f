"""What each group of sizes is worth: the last layers fitted without it to what one network sees.

    RUN/size_ablation.json               of one run: errors on the test visits
    FOLDER/size_ablation.md, .json       of all seeds of a variant

No gradient of the measures moves the proxy heads (`model.geometry_gradient`), so masks and points
of a network are the same whichever sizes are made of them. Nothing is trained again but the last
layers, with the same draws for every row: differences are of the sizes, not of two trainings.
"""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common.compiled.freed import free_programs
from deps_jax.common.files import sealed
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.measures import LENGTH, WEIGHT
from nurture_jax.network import in_space, thickness
from nurture_jax.network.model import ModelSettings
from nurture_jax.runs.ablation import (
    VARIANTS,
    Outcome,
    errors_of,
    folder_of,
    minus,
    outcome_of,
)
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.training import experiment, refit, run_data

FILE = "size_ablation.json"
ALL = "all sizes"
# Rows: what is withheld, by the names of `columns`.
ROWS = {ALL: (), "without thickness": ("thickness",), "without the fit in space": ("in_space",),
        "in the plane, lengths and areas only": ("thickness", "in_space"),
        "no sizes at all": ("in the plane", "thickness", "in_space")}
INPUTS = ("with the table", "video alone")


def columns(settings: ModelSettings, count: int) -> dict[str, slice]:
    """Where each group of sizes stands among `count` of `model.Seen`."""
    ends = [("in_space", len(in_space.NAMES) if settings.in_space else 0),
            ("thickness", len(thickness.NAMES) if settings.thickness else 0)]
    found, end = {}, count
    for name, own in ends:
        found[name] = slice(end - own, end)
        end -= own
    return found | {"in the plane": slice(0, end)}


def check(config: Mapping, variant: str) -> None:
    """Refuses a variant without sizes, before anything is trained.

    Args:
      config: Config of the ablation.
      variant: One of `ablation.VARIANTS`; another one is left to `ablation.ablate`.

    Raises:
      ValueError: If it makes no sizes out of masks and points.
    """
    settings = ModelSettings(**config["model"] | VARIANTS.get(variant, {}))
    if not (settings.use_video and settings.geometry and (
            settings.segmentation or settings.keypoints)):
        raise ValueError(f"{variant!r} makes no sizes out of masks and points, so there are none "
                         f"to leave out; name a variant with proxy tasks last")


def of_variant(folder: Path, variant: str, seeds: Sequence[int]) -> str:
    """The table of runs of `ablation.ablate`, which are there; writes it and its raw numbers."""
    rows: dict[str, list[Outcome]] = {}
    for seed in seeds:
        for name, outcome in of_run(folder / folder_of(variant) / f"seed_{seed}").items():
            rows.setdefault(name, []).append(outcome)
    text = table(rows)
    plain = {name: [{key: value for key, value in dataclasses.asdict(each).items()
                     if key != "visits"} for each in group] for name, group in rows.items()}
    content = json.dumps(sealed.finite({"variant": variant, "rows": plain}), indent=1)
    sealed.replace(folder / FILE, content + "\n")
    sealed.replace(folder / "size_ablation.md", text + "\n")
    return text


def of_run(run: Path) -> dict[str, Outcome]:
    """Errors on all test visits without the gate, by row and input, "ROW, INPUT"."""
    if (run / FILE).is_file():
        found = sealed.read(run / FILE, "delete it, and the run is measured again")
        return {name: outcome_of(each) for name, each in found.items()}
    trained = TrainedNurture.open(run)
    settings, whole = trained.model.settings, trained.experiment
    _, sources = run_data.open_data(whole.data, run)
    recipe = experiment.build_recipe(whole, trained.model.scaling, trained.model.backbone,
                                     len(sources["train"]))
    train, test = (refit.observed(recipe, trained.variables, sources[part],
                                  whole.training.eval_batch_size) for part in ("train", "test"))
    fusion = settings.fusion(trained.model.scaling)
    start = fusion.init(jax.random.key(whole.seed), *_inputs(
        {name: value[:1] for name, value in test.items()}))["params"]
    fit = jax.jit(partial(refit.fit, whole.refit, recipe))
    outcomes = {}
    for row, left_out in ROWS.items():
        for kind in INPUTS:
            seen, unseen = (_withheld(part, left_out, settings, kind == INPUTS[0])
                            for part in (train, test))
            params = fit(start, seen, jax.random.key(whole.seed))
            mean, scale = trained.model.scaling.measures(*fusion.apply(
                {"params": params}, *_inputs(unseen)))
            outcomes[f"{row}, {kind}"] = errors_of(row, whole.seed, Estimates(
                sources["test"].cache.records.visits, np.asarray(mean), np.asarray(scale)))
    free_programs()
    sealed.write(run / FILE, sealed.finite({name: dataclasses.asdict(each)
                                            for name, each in outcomes.items()}), indent=None)
    return outcomes


def table(rows: Mapping[str, Sequence[Outcome]]) -> str:
    """Markdown: means over seeds, and how much farther each is than ALL of the same input."""
    lines = ["| | " + " | ".join(f"{kind}: weight, g | minus {ALL}, g (95 % interval) | length, cm"
                                 for kind in INPUTS) + " |", "| --- " * 7 + "|"]
    for row in ROWS:
        cells = []
        for kind in INPUTS:
            group = rows[f"{row}, {kind}"]
            of = lambda name, group=group: np.array([each.mae[name] for each in group])
            weights = of(WEIGHT.name)
            spread = f" ± {weights.std(ddof=1):.0f}" if len(weights) > 1 else ""
            apart = "" if row == ALL else minus(
                group, rows[f"{ALL}, {kind}"], same_runs=True).text("{:+.0f}".format)
            cells += [f"{weights.mean():.0f}{spread}", apart, f"{np.mean(of(LENGTH.name)):.2f}"]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _inputs(seen: Mapping[str, np.ndarray]) -> tuple[jax.Array, ...]:
    return tuple(jnp.asarray(seen[name]) for name in (
        "pooled", "sizes", "tabular", "tabular_mask"))


def _withheld(seen: Mapping[str, np.ndarray], left_out: Sequence[str], settings: ModelSettings,
              table: bool) -> dict[str, np.ndarray]:
    """What was seen, with some sizes always the same and perhaps the whole table unknown."""
    seen = dict(seen)
    seen["sizes"] = seen["sizes"].copy()
    for name in left_out:
        seen["sizes"][:, columns(settings, seen["sizes"].shape[1])[name]] = 0
    if not table:
        seen |= {name: np.zeros_like(seen[name]) for name in ("tabular", "tabular_mask")}
    return seen
