"""Latency of any NurtureNet of a once-for-all training on one device, for a clip.

The device times the pieces of the backbones, as for a latency table of `deps_jax`, and beside them
some whole NurtureNets as files. All of them have the same parts behind the backbone, so a clip of
t frames takes

    t * per_frame * backbone + rest

with the backbone's latency for one image out of the table, and two numbers fitted on the whole
files. They lie in the table as further models, "clip of 8 frames, 1a2b3c4d, NAME", the second a
digest of the settings of these parts: the file is a `LatencyTable` as any other.
"""
from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import onnx

from deps_jax.common.files import workdir
from deps_jax.search.latency import LatencyTable, TimingPlan
from deps_jax.space.plain import from_plain
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, stack
from deps_jax.space.subnet_text import decode, encode, reported_subnets
from nurture_jax.clips.clip_augment import ClipAugment
from nurture_jax.deploy import graph
from nurture_jax.network.backbone_weights import of_subnet
from nurture_jax.network.model import ModelSettings, NurtureNet, zero_inputs
from nurture_jax.once_for_all.experiment import OnceForAll, read_scaling
from nurture_jax.once_for_all.network import ElasticNurture
from nurture_jax.records.video import ClipSettings

_NOT_IN_FILES = ("dropout_rate", "geometry_gradient", "dtype")  # of training alone
_MEND = "make one with launch.nurture_latency"


@dataclasses.dataclass(frozen=True)
class ClipLatency:
    """Predicts what a clip takes, decoding left out.

    Attributes:
      table: Measured pieces of the backbones, and whole files.
      space: The space of the backbones.
      frames: Number of frames of a clip.
      per_frame: What a backbone takes for a frame of a clip, over what it takes for one image.
      rest_ms: What the parts behind the backbone take for a clip.
      held_out: One record for each file that the fit has not seen, {"subnet", "measured_ms",
        "predicted_ms"}.
    """

    table: LatencyTable
    space: SearchSpace
    frames: int
    per_frame: float
    rest_ms: float
    held_out: tuple[dict, ...] = ()

    @classmethod
    def of(cls, table: LatencyTable, clip: ClipSettings, settings: ModelSettings) -> ClipLatency:
        """What a table tells of clips.

        Args:
          clip: How many frames a clip has, and of how many pixels.
          settings: What the networks are made of beside their backbones.

        Raises:
          ValueError: If the table has no such clips, or is of frames of another size.
        """
        frames, size = clip.frames, clip.size
        if table.question["resolution"] != size:
            raise ValueError(f"the latency table is of {table.question['resolution']} px, clips "
                             f"have {size}; {_MEND} of this run")
        space = from_plain(table.question["space"])
        fitted, held_out = timed_names(space)
        measured = {}
        for name in fitted + held_out:
            if (model := model_name(frames, settings, name)) not in table.latencies:
                raise ValueError(f"the latency table has no {model!r}, it is of clips of another "
                                 f"length or of networks with other model settings; {_MEND} of "
                                 f"this run")
            measured[name] = table.latencies[model][table.statistic]
        one = frames * table.predictor(space)(stack([decode(space, name) for name in fitted]))
        # Relative errors: a fast network counts as much as a slow one.
        ms = np.array([measured[name] for name in fitted])
        columns = np.stack([one, np.ones_like(one)], 1) / ms[:, None]
        (per_frame, rest_ms), *_ = np.linalg.lstsq(columns, np.ones_like(ms), rcond=None)
        found = cls(table, space, frames, float(per_frame), float(rest_ms))
        records = [{"subnet": name, "measured_ms": measured[name],
                    "predicted_ms": found.of_subnet(decode(space, name))} for name in held_out]
        return dataclasses.replace(found, held_out=tuple(records))

    @classmethod
    def load(cls, path: str | Path, clip: ClipSettings, settings: ModelSettings) -> ClipLatency:
        """As `of`, from a file; ValueError also where it is no latency table."""
        return cls.of(LatencyTable.load(Path(path)), clip, settings)

    @classmethod
    def of_run(cls, path: str | Path, folder: Path) -> ClipLatency:
        """As `load`, for the networks of the training in `folder`, before its data is read.

        Raises:
          ValueError: If there is no such training, or the table is not of its networks.
        """
        settings = workdir.understood(folder, OnceForAll.from_dict)
        found = cls.load(path, settings.data.clip, settings.model)
        found.table.check(settings.build_space())
        return found

    def __call__(self, subnets: Subnet) -> np.ndarray:
        """Milliseconds of n stacked subnets for a clip, [n]."""
        return self.frames * self.per_frame * self._backbone(subnets) + self.rest_ms

    @cached_property
    def _backbone(self) -> Callable[[Subnet], np.ndarray]:
        return self.table.predictor(self.space)

    def of_subnet(self, subnet: Subnet) -> float:
        """Milliseconds of one subnet for a clip."""
        return float(self(stack([subnet]))[0])

    def of_backbone(self, backbone: nn.Module, name: str) -> float:
        """Milliseconds for a clip of a network whose backbone was cut out of the space.

        Args:
          backbone: Its backbone.
          name: Name of the subnet that it is.

        Raises:
          ValueError: If it is no network of the space.
        """
        try:
            subnet = decode(self.space, name)
        except ValueError:
            subnet = None
        if subnet is None or of_subnet(self.space, subnet) != backbone:
            raise ValueError(f"the latency table is of {self.space.name} networks, and the "
                             f"backbone {name!r} of this run is none of them; {_MEND} of the "
                             f"training that it was cut out of, or leave --table out")
        return self.of_subnet(subnet)

    def summary(self) -> str:
        """How far to trust it, for the terminal."""
        lines = [f"a clip of {self.frames} frames: {self.frames} x {self.per_frame:.3f} x backbone "
                 f"+ {self.rest_ms:.1f} ms; networks that the fit has not seen:"
                 f"{'' if self.held_out else ' none'}"]
        lines += [f"  {row['subnet']}  measured {row['measured_ms']:.1f} ms, predicted "
                  f"{row['predicted_ms']:.1f} ms "
                  f"({row['predicted_ms'] / row['measured_ms'] - 1:+.1%})" for row in self.held_out]
        return "\n".join(lines)


def timed_names(space: SearchSpace) -> tuple[list[str], list[str]]:
    """Names of the networks that are timed whole: those that the fit sees, and the held-out ones.

    The fit sees the smallest and the largest.
    """
    names = sorted({*reported_subnets(space), encode(space, decode(space, "largest"))})
    ends = [encode(space, decode(space, end)) for end in ("smallest", "largest")]
    between = [name for name in names if name not in ends]
    return list(dict.fromkeys(ends)) + between[::2], between[1::2]


def model_name(frames: int, settings: ModelSettings, name: str) -> str:
    """Name of a whole file among the models of a table."""
    fields = dataclasses.asdict(settings)
    computed = {name: value for name, value in fields.items() if name not in _NOT_IN_FILES}
    digest = hashlib.sha256(json.dumps(computed, sort_keys=True).encode()).hexdigest()
    return f"clip of {frames} frames, {digest[:8]}, {name}"


@dataclasses.dataclass(frozen=True)
class ToTime:
    """What a device times for a training.

    Attributes:
      plan: The pieces of the backbones, and whole ones.
      network: All networks of the training.
      preprocess: Mean and standard deviation of colours.
      clip: How its clips are cut.
    """

    plan: TimingPlan
    network: ElasticNurture
    preprocess: ClipAugment
    clip: ClipSettings

    @classmethod
    def of_run(cls, folder: Path, precision: str = "fp32", seed: int = 0) -> ToTime:
        """That of a run, of which neither weights nor videos are needed.

        Raises:
          ValueError: If there is no once-for-all training in the folder.
        """
        settings = workdir.understood(folder, OnceForAll.from_dict)
        space = settings.build_space()
        network = ElasticNurture(space, settings.model, read_scaling(folder))
        plan = TimingPlan(space, settings.data.size, precision, seed)
        return cls(plan, network, settings.augment.in_use, settings.data.clip)

    def clips(self) -> dict[str, bytes]:
        """Serialised NurtureNets of random weights for one clip, by name."""
        plan, found = self.plan, {}
        fitted, held_out = timed_names(plan.space)
        for name in fitted + held_out:
            model = NurtureNet(self.network.settings, self.network.scaling,
                               of_subnet(plan.space, decode(plan.space, name)))
            written = graph.write(model, _random(model, plan.resolution), self.preprocess,
                                  plan.resolution, plan.precision)
            found[model_name(self.clip.frames, model.settings, name)] = _of_one_clip(
                written, self.clip.frames).SerializeToString()
        return found


def _random(model: NurtureNet, size: int) -> Mapping:
    """Variables of a network, of a spread that keeps its values finite."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), *zero_inputs(1, size, size)))
    random = np.random.default_rng(0)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        if str(path[-1].key) in ("var", "scale"):
            return np.ones(leaf.shape, np.float32)
        inputs = max(1, np.prod(leaf.shape[:-1]))
        return (random.standard_normal(leaf.shape) / np.sqrt(inputs)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, {"batch_stats": {}, **shapes})


def _of_one_clip(model: onnx.ModelProto, frames: int) -> onnx.ModelProto:
    """The model with its open sizes set, as a timer that knows nothing of clips needs it."""
    for value in (*model.graph.input, *model.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_value = {"b": 1, "t": frames}[size.dim_param]
    return model
