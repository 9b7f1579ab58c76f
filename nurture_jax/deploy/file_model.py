"""A NurtureNet out of a file, with onnxruntime and NumPy alone: no JAX is imported.

A model is two files: `NAME.onnx` and its card `NAME.json`. `Predictor` takes it as it takes a run.
"""
from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deps_jax.common.command.settings import build_settings
from deps_jax.common.files import sealed
from deps_jax.export.device_timer import session
from nurture_jax.growth import who_by_age
from nurture_jax.measures import LABELS, TABULAR
from nurture_jax.records.video import ClipSettings
from nurture_jax.rules import TABLE
from nurture_jax.runs import calibration
from nurture_jax.runs.calibration import Calibration
from nurture_jax.runs.predict import Predictor

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

KIND, VERSION = "NurtureNet", 1  # of the cards that are written and read
INPUTS = ("frames", "tabular", "tabular_mask", "reference_cm")
# What of a card is read; those of before reference objects had lengths have no "reference_cm", and
# those of before the tables of the WHO travelled no "who".
NEEDED = ("sha256", "clip", "reference_cm", "calibration", "session_options", "measures", "tabular",
          "rules", "versions", "who")
_MEND = "export the model again (launch.export_nurture), and keep both files together"


class FileModel:
    """An exported network: what `runs.predict.Network` asks for.

    Args:
      path: Path of the .onnx file; its card lies beside it.
      threads: Threads of onnxruntime.

    Attributes:
      folder: Path of the file, for messages.
      card: The card, as plain values.
      sha256: Hash of the file.
      clip: How its clips are cut from videos.
      reference_cm: Lengths of the reference objects of its training, ascending.
      calibrated: Its intervals, limits of the gate, and what recordings of training look like.

    Raises:
      ValueError: If a file is missing, damaged or does not belong to the other, the card is of
        another version, or onnxruntime is not installed.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        self.folder = path = Path(path)
        self.card = read_card(path)
        self.sha256 = self.card["sha256"]
        self.clip = _clip(self.card, path)
        self.reference_cm = tuple(self.card["reference_cm"])
        self.calibrated = _calibration(self.card, path)
        self._session = session(path.read_bytes(), threads, self.card["session_options"])

    def observe(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the network says of a batch, as `runs.inference.observe`, without its padding.

        Raises:
          ValueError: If the frames have another number or size than the intervals are true of.
        """
        frames, clip = batch["frames"], self.clip
        if frames.shape[1:] != (clip.frames, clip.size, clip.size, 3):
            raise ValueError(f"clips of {frames.shape[1]} frames of {frames.shape[3]}x"
                             f"{frames.shape[2]} px were given; {self.folder} takes {clip.frames} "
                             f"frames of {clip.size}x{clip.size} px; cut them so")
        return answers(self._session, batch)


def answers(opened: InferenceSession, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of a file by name for the examples of a batch that are no padding."""
    real = np.asarray(batch["example_mask"]) > 0
    found = opened.run(None, {name: batch[name][real] for name in INPUTS})
    return dict(zip((output.name for output in opened.get_outputs()), found, strict=True))


def open_predictor(path: str | Path, threads: int = 1) -> Predictor:
    """The predictor of a file: same gate, sentences and advice as that of a run.

    Raises:
      ValueError: As `FileModel`.
    """
    model = FileModel(path, threads)
    return Predictor(model, model.calibrated)


def read_card(path: Path) -> dict:
    """The card of a model file, whose calibration this program can use.

    Raises:
      ValueError: If the model or its card is missing, damaged or does not belong to the other, or
        the card is none, of another version, or of measures that this program does not know.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"{path} is not an .onnx file; give the model that launch.export_nurture "
                         f"has written")
    beside = path.with_suffix(".json")
    for file, what in ((path, "model"), (beside, "card of the model")):
        if not file.is_file():
            raise ValueError(f"{file}, the {what}, does not exist; {_MEND}")
    card = sealed.read(beside, _MEND)
    if card.get("kind") != KIND:
        raise ValueError(f"{beside} is not the card of a {KIND}; {_MEND}")
    if (version := card.get("card_version", "unknown")) != VERSION:
        raise ValueError(f"{beside} is a card of version {version}, this program reads version "
                         f"{VERSION}; use the version of the program that wrote it, or {_MEND}")
    if missing := [name for name in NEEDED if name not in card]:
        raise ValueError(f"{beside} is of an older version, without {', '.join(missing)}; {_MEND}")
    unknown = [name for name in card["measures"] if name not in LABELS]
    if unknown or tuple(card["tabular"]) != TABULAR:
        raise ValueError(f"{path} has the measures {', '.join(card['measures'])} and the inputs "
                         f"{', '.join(card['tabular'])}, this program {', '.join(LABELS)} and "
                         f"{', '.join(TABULAR)}; use the version {card['versions']['package']} "
                         f"that wrote it, or export the model again")
    if hashlib.sha256(path.read_bytes()).hexdigest() != card["sha256"]:
        raise ValueError(f"{path} was altered, or {beside.name} is the card of another file: their "
                         f"SHA-256 differ; {_MEND}")
    if card["rules"] != TABLE:
        sealed.tell(f"the rules of the advice in {beside} are not those of this program, which are "
                    f"used")
    for lost in card.get("check", {}).get("failures", ()):
        sealed.tell(f"{path} does not keep what its network has: {lost}")
    _clip(card, path)
    _calibration(card, path)
    try:
        who_by_age.bring(card["who"]["tables"])  # the z-scores of this process need no package
    except ValueError as error:
        raise ValueError(f"{beside} cannot be used: {error}; {_MEND}") from None
    return card


def _clip(card: Mapping, path: Path) -> ClipSettings:
    return build_settings(ClipSettings, card["clip"], f"{path.with_suffix('.json')}: clip")


def _calibration(card: Mapping, path: Path) -> Calibration:
    return calibration.of_content({**card["calibration"], "model_sha256": card["sha256"]},
                                  path.with_suffix(".json"), _MEND)
