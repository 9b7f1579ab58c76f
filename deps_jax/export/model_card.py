"""The card of an exported model: all one must know to use it, and where it comes from."""
from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

from deps_jax.common.command.source import git_commit
from deps_jax.common.files import sealed
from deps_jax.export import onnx_writer
from deps_jax.export.device_timer import EXPAND_INT8
from deps_jax.export.runtime import Preprocessing, beside
from deps_jax.runs.trained import TrainedRun
from deps_jax.space.cost import macs, params, peak_activation_bytes
from deps_jax.space.plain import to_plain
from deps_jax.space.subnet import Subnet
from deps_jax.space.subnet_text import encode
from deps_jax.supernet.network import Network

VERSION = 1


def describe(run: TrainedRun, subnet: Subnet, cut: Network, preprocessing: Preprocessing,
             precision: str) -> dict:
    """The part of the card that is known before the model has run, as plain values."""
    side = preprocessing.resolution
    return {
        "card_version": VERSION,
        "subnet": encode(run.space, subnet),
        "precision": precision,
        "input": {"name": onnx_writer.INPUT, "shape": ["batch", 3, side, side],
                  "dtype": "float32", "what": "RGB, after preprocessing"},
        "output": {"name": onnx_writer.OUTPUT, "shape": ["batch", run.space.num_classes],
                   "dtype": "float32", "what": "logits"},
        "preprocessing": dataclasses.asdict(preprocessing),
        "classes": list(run.splits.class_names),
        # activations in int8 need the nodes that the other option would remove
        "session_options": {} if precision == "int8_static" else EXPAND_INT8,
        "opset": onnx_writer.OPSET,
        "macs": macs(cut.layers),
        "params": params(cut.layers),
        "peak_activation_bytes": peak_activation_bytes(cut.layers),
        "space": to_plain(run.space),
        "training": run.details,
        "git_commit": git_commit(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def write(model: Path, card: dict) -> Path:
    """Writes the card beside its model and returns the path of the card."""
    path = beside(model, ".json")
    sealed.write(path, card)
    return path
