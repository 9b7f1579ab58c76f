"""Runs an exported model with onnxruntime, NumPy and OpenCV: what a device needs, no JAX.

A model is two files: `NAME.onnx` and its card `NAME.json`.
"""
from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deps_jax.common.command.settings import build_settings
from deps_jax.common.files import sealed
from deps_jax.data.images import centre_crop, read_image
from deps_jax.export.device_timer import session

INPUT = "image"
MOST_SIDE_PX = 16384  # of an image
LEAST_STD = 1e-6  # of pixel values in [0, 1]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Makes the model's inputs of photos, as evaluation has seen them.

    Attributes:
      short_side: Pixels of the short side after resizing.
      resolution: Side of the centre square that is cut out, in pixels.
      mean, std: Mean and standard deviation of red, green and blue, for values in [0, 1].

    Raises:
      ValueError: If a number is out of its range.
    """

    short_side: int
    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.resolution <= self.short_side <= MOST_SIDE_PX:
            raise ValueError(f"resolution {self.resolution} and short_side {self.short_side} px "
                             f"are not 1 to {MOST_SIDE_PX}, the second at least the first; export "
                             f"the model again")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) < LEAST_STD or max(
                map(abs, (*self.mean, *self.std))) > 1 / LEAST_STD:
            raise ValueError(f"mean {self.mean} and std {self.std} are not those of red, green and "
                             f"blue; give three each, deviations from {LEAST_STD:g} on")

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Inputs [b, 3, r, r] float32 from b RGB images [h, w, 3] uint8 of any size."""
        pixels = np.stack([centre_crop(image, self.resolution, self.short_side)
                           for image in images])
        return self.normalise(pixels)

    def normalise(self, pixels: np.ndarray) -> np.ndarray:
        """Inputs [b, 3, r, r] float32, mean 0 and standard deviation 1, from [b, r, r, 3] uint8."""
        mean, std = (np.array(values, np.float32) for values in (self.mean, self.std))
        return np.ascontiguousarray(((pixels / np.float32(255) - mean) / std).transpose(0, 3, 1, 2))


@dataclasses.dataclass(frozen=True)
class _Needed:
    """What running a model takes of its card."""

    preprocessing: Preprocessing
    classes: tuple[str, ...]
    sha256: str
    session_options: Mapping[str, str]

    @classmethod
    def of(cls, card: dict, path: Path) -> _Needed:
        fields = {field.name: card[field.name] for field in dataclasses.fields(cls)
                  if field.name in card}
        try:
            options = fields.get("session_options")
            if isinstance(options, dict) and not all(
                    isinstance(value, str) for value in options.values()):
                raise ValueError(f"session_options are {options!r:.80}, not text by name")
            return build_settings(cls, {**fields, "preprocessing": build_settings(
                Preprocessing, fields["preprocessing"], "preprocessing")}, "the card")
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error}); export the model again") from error


class Model:
    """An exported model: `model(images)` are the logits.

    Args:
      path: Path of the .onnx file; its card lies beside it.
      threads: Threads of onnxruntime.

    Attributes:
      card: The model card, as plain values.
      preprocessing: What makes inputs of photos.
      classes: Names of the classes, in the order of the logits.

    Raises:
      ValueError: If a file is missing, damaged or does not belong to the other, or onnxruntime
        is not installed or cannot read the model.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        path = Path(path)
        self.card = read_card(path)
        needed = _Needed.of(self.card, beside(path, ".json"))
        self.preprocessing, self.classes = needed.preprocessing, list(needed.classes)
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != needed.sha256:
            raise ValueError(f"{path} is damaged, or it is not the model of {path.stem}.json: "
                             f"their SHA-256 differ; export the model again")
        self._session = session(content, threads, needed.session_options, str(path))

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Logits [b, classes] float32 of b RGB images [h, w, 3] uint8 of any size."""
        return self.run(self.preprocessing(images))

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Logits [b, classes] float32 of preprocessed images [b, 3, r, r] float32."""
        return self._session.run(None, {INPUT: inputs})[0]

    def classify(self, path: Path, top: int = 5) -> list[tuple[str, float]]:
        """The `top` likeliest classes of a picture with their probabilities, likeliest first.

        Raises:
          ValueError: If the picture cannot be read.
        """
        logits = self([read_image(path)])[0]
        exponentials = np.exp(logits - logits.max())
        probabilities = exponentials / exponentials.sum()
        order = np.argsort(-probabilities, kind="stable")[:top]
        return [(self.classes[i], float(probabilities[i])) for i in order]


def beside(model: Path, ending: str) -> Path:
    """The file with an ending that belongs to a model, such as NAME.json to NAME.onnx.

    That of NAME.stablehlo is NAME.stablehlo.json: a subnet in both formats has two cards.
    """
    own = model.suffix == ".onnx"
    return model.with_suffix(ending) if own else model.with_name(model.name + ending)


def read_card(path: Path) -> dict:
    """The card of a model file.

    Raises:
      ValueError: If the model or its card is missing, or the card is damaged or none.
    """
    path = Path(path)
    card = beside(path, ".json")
    for file, what in ((path, "model"), (card, "card of the model")):
        if not file.is_file():
            raise ValueError(f"{file} does not exist; the {what} is written by "
                             f"launch.export_subnet, and both files stay together")
    content = sealed.read(card, "export the model again")
    if "preprocessing" not in content:
        raise ValueError(f"{card} is not a model card; export the model again")
    return content
