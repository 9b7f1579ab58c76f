"""Latency of any subnet of a space on one device, from a table of its pieces.

Every distinct block of the space is timed as an ONNX model of its own. A subnet is predicted to
take `scale * sum(pieces)`. What a piece costs between others (conversions of layouts that only the
ends of a network need, caches that others have filled) is not in its own time, so the scale and a
factor for each piece are fitted on some whole networks. The models can be timed here or packed as a
kit for another machine, see `device_timer`.
"""
from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import jax
import numpy as np
import onnx
from onnx import TensorProto, helper
from scipy.stats import spearmanr

from deps_jax.common.command.settings import build_settings
from deps_jax.common.files import sealed
from deps_jax.export import device_timer, onnx_writer
from deps_jax.search import timings
from deps_jax.search.piece_names import PieceNames
from deps_jax.space.cost import BlockTable, pieces
from deps_jax.space.layers import Layer, layers
from deps_jax.space.plain import to_plain
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, canonical, sample, stack
from deps_jax.space.subnet_text import decode, encode
from deps_jax.supernet.network import random_weights

CALL = "call"  # a model that does nothing: what calling the runtime takes
FITTED, HELD_OUT = 24, 24  # whole networks that the fit sees, and that check it
# Variance of a network's relative error of timing over that of a piece's own factor. Our choice:
# with any of 0.1 to 1 the digits' networks were predicted alike.
NOISE_TO_FACTORS = 0.3


@dataclasses.dataclass(frozen=True)
class TimingPlan:
    """What is to be timed: a space in the form in which it will be deployed.

    Attributes:
      space: The search space.
      resolution: Side of the images in pixels.
      precision: A precision of `onnx_writer`.
      seed: Seed that draws the whole networks.
    """

    space: SearchSpace
    resolution: int
    precision: str = "fp32"
    seed: int = 0

    @classmethod
    def asked(cls, space: SearchSpace, measured: Mapping, *, resolution: int | None,
              precision: str | None, seed: int | None) -> TimingPlan:
        """What is asked for; None leaves it to timings that say what they are of, or to defaults.

        Args:
          measured: Timings as of `LatencyTable.fit`; empty if there are none.
        """
        told = {"resolution": space.resolution, "precision": cls.precision, "seed": cls.seed,
                **measured.get("question", {})}
        given = {"resolution": resolution, "precision": precision, "seed": seed}
        return cls(space, **{field: told[field] if value is None else value
                             for field, value in given.items()})

    def networks(self) -> tuple[list[str], list[str]]:
        """Names of whole networks: those that the fit sees, and those that are held out."""
        keys = jax.random.split(jax.random.key(self.seed), FITTED - 2 + HELD_OUT)
        names = [encode(self.space, canonical(sample(key, self.space))) for key in keys]
        return ["smallest", "largest", *names[HELD_OUT:]], names[:HELD_OUT]

    @cached_property
    def piece_names(self) -> PieceNames:
        """The name of every piece of the space."""
        return PieceNames.of(self.space, self.resolution)

    def pieces(self) -> dict[str, tuple[Layer, ...]]:
        """Layers of every distinct piece of the space, by name."""
        found = {}

        def collect(piece: tuple[Layer, ...]) -> float:
            found.setdefault(self.piece_names(piece), piece)
            return 0.0

        BlockTable.build(self.space, collect, resolution=self.resolution)
        return found

    def layers(self, name: str) -> tuple[Layer, ...]:
        """Layers of the whole network of a name."""
        return layers(self.space, decode(self.space, name), self.resolution)

    def models(self) -> dict[str, bytes]:
        """Serialised models to be timed, by name: pieces, whole networks, and the empty call."""
        fitted, held_out = self.networks()
        parts = self.pieces() | {f"net {name}": self.layers(name) for name in fitted + held_out}
        return {CALL: _empty_model()} | {name: self._model(part) for name, part in parts.items()}

    def _model(self, part: tuple[Layer, ...]) -> bytes:
        weights = random_weights(part)
        return onnx_writer.write(part, weights, self.precision, batch_size=1).SerializeToString()

    @property
    def description(self) -> dict:
        """The plan as plain values."""
        return {"space": to_plain(self.space), "resolution": self.resolution,
                "precision": self.precision, "seed": self.seed, "batch_size": 1}


@dataclasses.dataclass(frozen=True)
class LatencyTable:
    """Measured pieces and how well they predict whole networks.

    Attributes:
      question: What was timed, as `TimingPlan.description` tells it.
      device: What it was timed on, as `device_timer.describe_device` tells it.
      statistic: The figure that the prediction is made of, "p10_ms" or "median_ms".
      scale: Measured latency over the sum of the pieces, fitted on whole networks.
      factors: By the name of a piece, the factor on its latency between others beside the scale,
        fitted on the same networks; 1 for a piece that they do not have.
      latencies: Latencies of every timed model by its name, {"p10_ms", "median_ms"}.
      held_out: One record for each network that the fit has not seen, {"subnet", "measured_ms",
        "predicted_ms"}.
    """

    question: dict
    device: dict
    statistic: str
    scale: float
    factors: dict[str, float]
    latencies: dict[str, dict[str, float]]
    held_out: list[dict]

    @classmethod
    def fit(cls, plan: TimingPlan, measured: Mapping, statistic: str = "p10_ms") -> LatencyTable:
        """The table from what `device_timer` has measured.

        Args:
          measured: Timings as {"device": ..., "latencies": {name: {"p10_ms", "median_ms"}}}; with
            "question" where they say what they are of.
          statistic: The figure that the prediction is made of, "p10_ms" or "median_ms".

        Raises:
          ValueError: If the timings lack a model, or say that they are of another precision,
            space, resolution or seed.
        """
        timings.check_question(measured, plan.description)
        latencies = measured["latencies"]
        fitted, held_out = plan.networks()
        whole = lambda names: np.array([_latency(latencies, f"net {n}", statistic) for n in names])
        scale, factors = _between(plan, fitted, whole(fitted), latencies, statistic)
        predict = _sum_of_pieces(plan.space, plan.resolution, latencies, statistic, factors)
        predicted = scale * predict(stack([decode(plan.space, name) for name in held_out]))
        records = [
            {"subnet": name, "measured_ms": float(measured), "predicted_ms": float(predicted)}
            for name, measured, predicted in zip(
                held_out, whole(held_out), predicted, strict=True)]
        return cls(plan.description, dict(measured["device"]), statistic, scale, factors,
                   dict(latencies), records)

    def predictor(self, space: SearchSpace) -> Callable[[Subnet], np.ndarray]:
        """A function from n stacked subnets of the space to [n] milliseconds.

        Raises:
          ValueError: If the table is of another space.
        """
        self.check(space)
        summed = _sum_of_pieces(space, self.question["resolution"], self.latencies, self.statistic,
                                self.factors)
        return lambda subnets: self.scale * summed(subnets)

    def check(self, space: SearchSpace) -> None:
        """Raises ValueError, naming the first difference, unless the table is of this space."""
        if difference := timings.space_difference(self.question["space"], to_plain(space)):
            raise ValueError(f"the latency table is of another space: {difference}; make one with "
                             f"launch.latency_table")

    @property
    def errors(self) -> np.ndarray:
        """Relative errors of the held-out networks, predicted / measured - 1."""
        return np.array([record["predicted_ms"] / record["measured_ms"] - 1
                         for record in self.held_out])

    @property
    def rank_correlation(self) -> float | None:
        """Spearman's rank correlation of predicted with measured over the held-out networks.

        It is None where it is not defined: all were predicted, or measured, the same.
        """
        pair = [[record[f"{what}_ms"] for record in self.held_out]
                for what in ("predicted", "measured")]
        return (None if min(len(set(side)) for side in pair) == 1
                else float(spearmanr(*pair).statistic))

    def summary(self) -> str:
        """What was measured and how far to trust it, for the terminal."""
        device, errors = self.device, 100 * np.abs(self.errors)
        rank = self.rank_correlation
        rank = "not defined" if rank is None else f"{rank:.3f}"
        width = max(len(record["subnet"]) for record in self.held_out)
        lines = [f"{device['processor']}, {device['threads']} thread(s), onnxruntime "
                 f"{device['onnxruntime']}; {self.question['precision']} at "
                 f"{self.question['resolution']} px, one image", "",
                 f"{'held-out subnet':{width}}  measured  predicted   error"]
        lines += [f"{record['subnet']:{width}}  {record['measured_ms']:5.2f} ms  "
                  f"{record['predicted_ms']:6.2f} ms  {error:+6.1%}"
                  for record, error in zip(self.held_out, self.errors, strict=True)]
        return "\n".join([
            *lines, "", f"error: median {np.median(errors):.1f} %, largest {errors.max():.1f} %, "
            f"within 8 % for {np.mean(errors <= 8):.0%} of {len(errors)}; rank correlation "
            f"{rank}; one scale, {self.scale:.3f}"])

    def plot(self) -> bytes:
        """Predicted over measured latency of the held-out networks, with the lines of 8 % error.

        Returns:
          A PNG file.
        """
        from matplotlib.figure import Figure  # who reads a table does without

        from deps_jax.common.command.page import png

        measured_ms, predicted_ms = ([record[f"{what}_ms"] for record in self.held_out]
                                     for what in ("measured", "predicted"))
        figure = Figure(figsize=(4.6, 4.4), layout="constrained")
        axes = figure.add_subplot(xlabel="measured latency, ms", ylabel="predicted latency, ms")
        ends = [0.95 * min(*measured_ms, *predicted_ms), 1.05 * max(*measured_ms, *predicted_ms)]
        axes.plot(ends, ends, color="grey", linewidth=1)
        for error in (-0.08, 0.08):
            axes.plot(ends, [(1 + error) * end for end in ends], ":", color="grey", linewidth=1)
        axes.plot(measured_ms, predicted_ms, "o")
        axes.grid(alpha=0.3)
        return png(figure)

    def save(self, path: Path) -> None:
        """Writes the table and the quality of its predictions as JSON."""
        sealed.write(path, dataclasses.asdict(self) | {"quality": {
            "rank_correlation": self.rank_correlation,
            "largest_error": float(np.abs(self.errors).max()),
            "within_8_percent": float((np.abs(self.errors) <= 0.08).mean())}})

    @classmethod
    def load(cls, path: Path) -> LatencyTable:
        """Reads what `save` wrote.

        Raises:
          ValueError: If it is anything else, or the table is damaged.
        """
        content = timings.read_json(path, "a latency table, as launch.latency_table writes it")
        names = {field.name for field in dataclasses.fields(cls)}
        if names - content.keys():
            raise ValueError(f"{path} is not a latency table: {sorted(names - content.keys())} are "
                             f"missing; make one with launch.latency_table")
        content = sealed.unseal(content, path, "make it again with launch.latency_table")
        content.pop("quality", None)
        if content.keys() != names:
            raise ValueError(f"{path} is not a latency table: {sorted(names ^ content.keys())} are "
                             f"unknown; make one with launch.latency_table")
        try:
            build_settings(cls, content, "the table")
            timings.check_table(content, path)
        except ValueError as error:
            raise ValueError(f"{path} is damaged or of another version ({error}); make it again "
                             f"with launch.latency_table") from error
        return cls(**content)


def write_kit(path: Path, plan: TimingPlan, more: Mapping[str, bytes] = MappingProxyType({})
              ) -> None:
    """Writes a zip for another machine: the timing script, the models, and what they are.

    Args:
      more: Serialised models that are timed beside those of the plan, by name.
    """
    timer = Path(device_timer.__file__)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(timer, timer.name)
        archive.writestr("question.json", json.dumps(plan.description, indent=2))
        models = plan.models() | dict(more)
        names = {f"{i:03d}": name for i, name in enumerate(models)}
        archive.writestr("models/names.json", json.dumps(names, indent=2))
        for stem, name in names.items():
            archive.writestr(f"models/{stem}.onnx", models[name])
    sealed.replace(path, content.getvalue())


def _sum_of_pieces(space: SearchSpace, resolution: int,
                   latencies: Mapping[str, Mapping[str, float]], statistic: str,
                   factors: Mapping[str, float]) -> BlockTable:
    names = PieceNames.of(space, resolution)

    def between_others(piece: tuple[Layer, ...]) -> float:
        name = names(piece)
        own = _own(latencies, name, statistic)
        if name not in factors:
            raise ValueError(f"the latency table has no factor for {name!r}; make it again with "
                             f"launch.latency_table")
        return factors[name] * own

    table = BlockTable.build(space, between_others, resolution=resolution)
    return dataclasses.replace(table, call=_latency(latencies, CALL, statistic))


def _own(latencies: Mapping[str, Mapping[str, float]], piece: str, statistic: str) -> float:
    """Latency of a piece without the call: each was called on its own, a network is called once."""
    call = _latency(latencies, CALL, statistic)
    return max(_latency(latencies, piece, statistic) - call, 0.0)


def _between(plan: TimingPlan, names: Sequence[str], measured: np.ndarray,
             latencies: Mapping[str, Mapping[str, float]], statistic: str
             ) -> tuple[float, dict[str, float]]:
    """The scale and a factor for every piece that predict whole networks.

    A ridge regression of the networks' relative errors on the part that each piece has in them,
    towards factors of 1: there are more pieces than networks.

    Args:
      names, measured: Whole networks and their latencies in ms, [n].
    """
    counts = [Counter(plan.piece_names(piece) for _, piece in pieces(plan.layers(name)))
              for name in names]
    own = {name: _own(latencies, name, statistic) for name in plan.pieces()}
    parts = np.array([[count[name] * own[name] for name in own] for count in counts])
    sums = _latency(latencies, CALL, statistic) + parts.sum(1)
    scale = float(np.mean(measured / sums))
    parts = parts / sums[:, None]
    kernel = parts @ parts.T + NOISE_TO_FACTORS * np.eye(len(sums))
    factors = 1 + parts.T @ np.linalg.solve(kernel, measured / (scale * sums) - 1)
    return scale, dict(zip(own, np.maximum(factors, 0).tolist(), strict=True))


def _latency(latencies: Mapping[str, Mapping[str, float]], name: str, statistic: str) -> float:
    if name not in latencies:
        raise ValueError(f"the timings lack {name!r}; they are of another space, resolution or "
                         f"seed, or of an earlier version: time the kit of this one, or make the "
                         f"table again with launch.latency_table")
    return latencies[name][statistic]


def _empty_model() -> bytes:
    image = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1])
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["logits"])], "empty",
                              [image("image")], [image("logits")])
    model = helper.make_model(graph, ir_version=onnx_writer.IR_VERSION, opset_imports=[
        helper.make_opsetid("", onnx_writer.OPSET)])
    onnx.checker.check_model(model)
    return model.SerializeToString()
