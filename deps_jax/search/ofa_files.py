"""Accuracy and latency of OFA's MobileNetV3 subnets as OFA publishes them: files of a predictor and
of latency tables, one for each resolution.

Both stand in for our own predictor and tables in `search`, for spaces of OFA's form: stages of
inverted residuals with kernels (3, 5, 7) and expand ratios (3, 4, 6).
"""
from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from deps_jax.common.files.tensors import load_state_dict
from deps_jax.space.candidate import Candidates, Costs, by_resolution
from deps_jax.space.cost import BlockTable, Layers, pieces
from deps_jax.space.layers import Layer
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet

LEAST_RESOLUTION, RESOLUTION_STEP, RESOLUTIONS = 112, 16, 8  # of the predictor's last inputs
_TABLE = re.compile(r"(\d+)_lookup_table\.yaml")
_LAYERS = (0, 2, 4, 6)  # of OFA's Sequential, which has ReLUs between


@dataclasses.dataclass(frozen=True)
class OfaAccuracy:
    """OFA's accuracy predictor: a network of four dense layers.

    It reads zeros and ones: the kernel size of every block, the expand ratio of every block, both
    all 0 for a block that is left out, then the resolution, rounded down to 112, 128, ..., 224 px.

    Attributes:
      space: Space of the subnets.
      weights, biases: Of the layers, [outputs, inputs] and [outputs] float each.
    """

    space: SearchSpace
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    @classmethod
    def load(cls, path: Path, space: SearchSpace) -> OfaAccuracy:
        """Reads the state dict of the predictor, as .npz or PyTorch checkpoint.

        Raises:
          ValueError: If it is none, or the predictor is of another space.
        """
        _check_form(space)
        tensors = load_state_dict(path)
        blocks, stage = len(space.stages) * space.max_depth, space.stages[0]
        inputs = blocks * (len(stage.kernels) + len(stage.expands)) + RESOLUTIONS
        try:
            weights, biases = (tuple(tensors[f"{i}.{kind}"] for i in _LAYERS)
                               for kind in ("weight", "bias"))
        except KeyError as missing:
            raise ValueError(f"{path} is no accuracy predictor of OFA, it has no tensor {missing}; "
                             f"give the state dict of its four dense layers") from None
        shapes = [weight.shape for weight in weights]
        sizes = [inputs, *(bias.size for bias in biases)]
        if shapes != list(zip(sizes[1:], sizes[:-1], strict=True)) or sizes[-1] != 1:
            raise ValueError(f"{path} holds layers of shapes {shapes}; a predictor for "
                             f"{space.name!r} reads {inputs} numbers and gives 1")
        return cls(space, weights, biases)

    def __call__(self, candidates: Candidates) -> np.ndarray:
        """Predicted top-1 of n candidates, from 0 to 1, [n] float.

        Raises:
          ValueError: If a resolution is one that the predictor does not know.
        """
        x = self._inputs(candidates)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = (np.maximum(x, 0) if i else x) @ weight.T + bias
        return x[:, 0].astype(np.float64)

    def _inputs(self, candidates: Candidates) -> np.ndarray:
        """Zeros and ones as the class describes them, [n, inputs] float32."""
        depth = np.asarray(candidates.subnets.depth)
        active = np.arange(self.space.max_depth) < depth[..., None]
        stage = self.space.stages[0]
        chosen = lambda positions, values: active[..., None] & (
            np.asarray(positions)[..., None] == np.arange(len(values)))
        columns = [chosen(*axis).reshape(len(candidates), -1) for axis in (
            (candidates.subnets.kernel, stage.kernels), (candidates.subnets.expand, stage.expands))]
        place = (candidates.resolution - LEAST_RESOLUTION) // RESOLUTION_STEP
        if ((place < 0) | (place >= RESOLUTIONS)).any():
            most = LEAST_RESOLUTION + RESOLUTION_STEP * RESOLUTIONS - 1
            raise ValueError(f"OFA's predictor knows {LEAST_RESOLUTION} to {most} px, not "
                             f"{sorted(set(candidates.resolution.tolist()))}; search among those")
        columns.append(place[:, None] == np.arange(RESOLUTIONS))
        return np.concatenate(columns, 1).astype(np.float32)


def latency_costs(folder: Path, space: SearchSpace) -> tuple[tuple[int, ...], Costs]:
    """Latencies of OFA's tables: the mean milliseconds of a network's operations, added up.

    Args:
      folder: Holds files such as 160_lookup_table.yaml, one for each resolution.

    Returns:
      The resolutions that have a table, ascending; and a function from n candidates to
      {"latency_ms": [n]}.

    Raises:
      ValueError: If there is no table, or one is damaged or of another space.
    """
    _check_form(space)
    found = {int(match[1]): path for path in sorted(Path(folder).glob("*"))
             if (match := _TABLE.fullmatch(path.name))}
    if not found:
        raise ValueError(f"{folder} holds no latency table of OFA; give a folder with files such "
                         f"as 160_lookup_table.yaml")
    costs = {pixels: _latency(found[pixels], space, pixels) for pixels in sorted(found)}
    return tuple(costs), by_resolution(costs)


def read_table(path: Path) -> dict[str, float]:
    """Mean milliseconds of every operation of a table, by OFA's name of it.

    Raises:
      ValueError: If it is no such table.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), getattr(
            yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); give a latency table of "
                         f"OFA") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise ValueError(f"{path} is not YAML; give a latency table of OFA") from None
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} names no operations; give a latency table of OFA")
    for name, entry in content.items():
        mean = entry.get("mean") if isinstance(entry, dict) else None
        if not isinstance(mean, int | float) or not (math.isfinite(mean) and mean >= 0):
            raise ValueError(f"{path} has no mean of {name!r} in milliseconds; every operation "
                             f"needs one")
    return {name: float(entry["mean"]) for name, entry in content.items()}


def operation_names(piece: Layers) -> list[str]:
    """OFA's names of the operations of one part of a network (`cost.pieces`)."""
    first, last = piece[0], piece[-1]
    if first.part == "stem":
        return [f"Conv-{_sizes(first)}"]
    if first.part == "head":
        expand, pool, features, classifier = piece
        return [f"Conv_1-{_sizes(expand)}", f"AvgPool2D-{_sizes(pool)}",
                f"Conv_2-{_sizes(features)}",
                f"Logits-input:1x1x{classifier.in_channels}-output:{classifier.out_channels}"]
    depthwise = next(layer for layer in piece if layer.groups > 1)
    ops = {layer.op for layer in piece}
    flags = {"idskip": "add" in ops, "se": "squeeze_excite" in ops,
             "hs": depthwise.activation == "h_swish"}
    return [f"expanded_conv-{_sizes(first, last)}-expand:{depthwise.out_channels}-kernel:"
            f"{depthwise.kernel}-stride:{depthwise.stride}-"
            + "-".join(f"{name}:{int(value)}" for name, value in flags.items())]


def _sizes(first: Layer, last: Layer | None = None) -> str:
    last = last or first
    return (f"input:{first.size_in}x{first.size_in}x{first.in_channels}-"
            f"output:{last.size_out}x{last.size_out}x{last.out_channels}")


def _latency(path: Path, space: SearchSpace, resolution: int
             ) -> Callable[[Subnet], dict[str, np.ndarray]]:
    mean_ms = read_table(path)

    def own(part: Layers) -> float:
        names = [name for _, piece in pieces(part) for name in operation_names(piece)]
        for name in names:
            if name not in mean_ms:
                raise ValueError(f"{path} has no operation {name!r}; it is of another space or "
                                 f"resolution than {space.name!r} at {resolution} px")
        return sum(mean_ms[name] for name in names)

    return partial(_named, BlockTable.build(space, own, resolution=resolution))


def _named(table: BlockTable, subnets: Subnet) -> dict[str, np.ndarray]:
    return {"latency_ms": table(subnets)}


def _check_form(space: SearchSpace) -> None:
    """Raises ValueError for a space whose subnets OFA's files cannot name."""
    fits = (space.first_width and space.head_width and space.feature_width and all(
        stage.block.expansion and stage.expands == (3, 4, 6) and stage.kernels == (3, 5, 7)
        and stage.max_depth == space.max_depth for stage in space.stages))
    if not fits:
        raise ValueError(f"OFA's predictor and latency tables are of MobileNetV3 with kernels (3, "
                         f"5, 7) and expand ratios (3, 4, 6), not of space {space.name!r}; search "
                         f"a space of that form")
