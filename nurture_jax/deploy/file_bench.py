"""Size and speed of the file of a config's network, which nobody needs to have trained.

The weights are random: neither the size of the file nor what a clip takes depends on them. How near
the estimates of a file are to those of JAX does, so that is measured by `export`, of trained ones.
"""
from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np

from deps_jax.export.device_timer import session
from nurture_jax.deploy import graph
from nurture_jax.deploy.export import PRECISIONS, blank_clip, fastest_ms
from nurture_jax.deploy.file_model import answers
from nurture_jax.runs.bench import untrained
from nurture_jax.training.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class FileSpeed:
    """One file.

    Attributes:
      precision: "fp32" or "int8".
      size_bytes: Bytes of the file.
      clip_ms: Milliseconds from raw frames to estimates and evidence, the fastest of some.
    """

    precision: str
    size_bytes: int
    clip_ms: float


def time_files(config: dict, folder: Path, threads: int = 1) -> tuple[FileSpeed, ...]:
    """Writes the network of a config in each precision, and times one clip in turns.

    Args:
      config: Config of a training.
      folder: Folder that stands for that of a run; nothing is written to it.
      threads: Threads of onnxruntime.
    """
    experiment = Experiment.from_dict(config)
    trained = untrained(experiment, folder)
    contents = {precision: graph.write(
        trained.model, trained.variables, experiment.augment.in_use, experiment.data.size,
        precision).SerializeToString() for precision in PRECISIONS}
    clip = blank_clip(experiment.data.clip)
    clip["frames"] = np.random.default_rng(0).integers(0, 256, clip["frames"].shape, np.uint8)
    milliseconds = fastest_ms({precision: partial(answers, session(content, threads), clip)
                               for precision, content in contents.items()})
    return tuple(FileSpeed(precision, len(content), milliseconds[precision])
                 for precision, content in contents.items())
