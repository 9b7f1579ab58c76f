"""Augmentation policies: chains of operations on one image, drawn anew for every image.

They run on the host, where images are decoded; Pillow does the work. A policy is a value, and one
of your own is named as "module:NAME".
"""
from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

Operation = Callable[[Image.Image, float], Image.Image]


class Policy(abc.ABC):
    """Changes an image: called with it and a random generator, it returns one of the same size."""

    @abc.abstractmethod
    def __call__(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The changed image, [h, w, 3] uint8 as `image` is."""


def _affine(image: Image.Image, *coefficients: float) -> Image.Image:
    """Takes pixel (x, y) from (a x + b y + c, d x + e y + f); black where that is outside."""
    return image.transform(image.size, Image.Transform.AFFINE, coefficients,
                           Image.Resampling.BILINEAR)


# An image and a strength; what has none ignores it.
OPERATIONS: dict[str, Operation] = {
    "identity": lambda image, _: image,
    "shear_x": lambda image, tangent: _affine(image, 1, tangent, 0, 0, 1, 0),
    "shear_y": lambda image, tangent: _affine(image, 1, 0, 0, tangent, 1, 0),
    "translate_x": lambda image, pixels: _affine(image, 1, 0, -int(pixels), 0, 1, 0),
    "translate_y": lambda image, pixels: _affine(image, 1, 0, 0, 0, 1, -int(pixels)),
    "rotate": lambda image, degrees: image.rotate(degrees, Image.Resampling.BILINEAR),
    "brightness": lambda image, change: ImageEnhance.Brightness(image).enhance(1 + change),
    "colour": lambda image, change: ImageEnhance.Color(image).enhance(1 + change),
    "contrast": lambda image, change: ImageEnhance.Contrast(image).enhance(1 + change),
    "sharpness": lambda image, change: ImageEnhance.Sharpness(image).enhance(1 + change),
    "posterize": lambda image, bits: ImageOps.posterize(image, int(bits)),
    "solarize": lambda image, threshold: ImageOps.solarize(image, threshold),
    "auto_contrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
}
SIGNED = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "colour",
           "contrast", "sharpness")


@dataclasses.dataclass(frozen=True)
class Strengths:
    """What the levels 0 to `levels` - 1 of an operation mean: the last one is the strongest.

    Attributes:
      levels: Number of levels.
      shear: Tangent of the angle at the last level.
      translate: Pixels at the last level, or a share of the side where `relative`.
      rotate: Degrees at the last level.
      enhance: Change of brightness, colour, contrast and sharpness at the last level, added to
        the factor 1.
      posterize: Bits that are lost at the last level.
      relative: Whether `translate` is a share of the side.
    """

    levels: int
    shear: float
    translate: float
    rotate: float
    enhance: float
    posterize: int
    relative: bool = False

    def of(self, operation: str, level: int, side: int) -> float:
        """The strength of an operation at a level, without sign.

        It is the number of bits that stay for "posterize", and the threshold for "solarize".

        Args:
          side: Side of the image along which it is translated, in pixels.
        """
        if operation == "posterize":
            return 8 - round(level / ((self.levels - 1) / self.posterize))
        if operation == "solarize":
            return _between(255, 0, level, self.levels)
        if operation in ("shear_x", "shear_y"):
            most = self.shear
        elif operation in ("translate_x", "translate_y"):
            most = self.translate * (side if self.relative else 1)
        else:
            most = self.rotate if operation == "rotate" else self.enhance
        return _between(0, most, level, self.levels)


def _between(start: float, end: float, level: int, levels: int) -> float:
    """Number `level` of `levels` values that lie evenly from start to end, in float32.

    As `torch.linspace` counts them, from the nearer end: the last bit of a strength moves pixels at
    the edge of a sheared image and the rounding of a brightness.
    """
    first, last = np.float32(start), np.float32(end)
    step = (last - first) / np.float32(levels - 1)
    if level < levels // 2:
        return float(first + step * np.float32(level))
    return float(last - step * np.float32(levels - 1 - level))


# The tables of torchvision 0.28, whose AutoAugment gives the learned policies on images of any
# size: translations of the paper's 331 px are shares of the side.
AUTO = Strengths(levels=10, shear=0.3, translate=150 / 331, rotate=30.0, enhance=0.9, posterize=4,
                 relative=True)
WIDE = Strengths(levels=31, shear=0.99, translate=32.0, rotate=135.0, enhance=0.99, posterize=6)


@dataclasses.dataclass(frozen=True)
class Step:
    """An operation that is applied with a probability, at a level of its strength.

    Attributes:
      operation: Name of the operation, a key of `OPERATIONS`.
      probability: Probability that it is applied.
      level: Level of its strength, see `Strengths`.
    """

    operation: str
    probability: float
    level: int = 0


@dataclasses.dataclass(frozen=True)
class AutoAugment(Policy):
    """Applies one of several learned chains, each as likely (Cubuk et al., arXiv 1805.09501).

    Attributes:
      chains: The chains, each of steps that are applied one after the other.
      strengths: What the levels of the steps mean.
    """

    chains: tuple[tuple[Step, ...], ...]
    strengths: Strengths = AUTO

    def __call__(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The changed image, [h, w, 3] uint8."""
        changed = Image.fromarray(image)
        for step in self.chains[generator.integers(len(self.chains))]:
            applied, sign = generator.random() < step.probability, generator.choice((-1, 1))
            if applied:
                changed = _apply(changed, step.operation, step.level, sign, self.strengths)
        return np.asarray(changed)


@dataclasses.dataclass(frozen=True)
class TrivialAugment(Policy):
    """Applies one operation at one level, each as likely (Mueller and Hutter, arXiv 2103.10158).

    The defaults are the operations and the wide ranges of the paper's "TA (Wide)".

    Attributes:
      operations: Names of the operations, keys of `OPERATIONS`.
      strengths: What the levels mean, and how many there are.
    """

    operations: tuple[str, ...] = tuple(name for name in OPERATIONS if name != "invert")
    strengths: Strengths = WIDE

    def __call__(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The changed image, [h, w, 3] uint8."""
        operation = self.operations[generator.integers(len(self.operations))]
        level, sign = generator.integers(self.strengths.levels), generator.choice((-1, 1))
        return np.asarray(_apply(Image.fromarray(image), operation, level, sign, self.strengths))


def _apply(image: Image.Image, operation: str, level: int, sign: int,
           strengths: Strengths) -> Image.Image:
    side = image.height if operation == "translate_y" else image.width
    strength = strengths.of(operation, level, side)
    return OPERATIONS[operation](image, strength * (sign if operation in SIGNED else 1))


def _chains(text: str) -> tuple[tuple[Step, ...], ...]:
    """The chains of a table: one on each line, as "OPERATION PROBABILITY LEVEL, ..."."""
    def step(words: list[str]) -> Step:
        return Step(words[0], float(words[1]), int(words[2]))

    return tuple(tuple(step(part.split()) for part in line.split(","))
                 for line in text.strip().splitlines())


# arXiv 1805.09501, appendix, table 9 (ImageNet) and table 7 (CIFAR-10); five chains of the first
# are in it twice. A level that an operation has no use for is 0.
AUTO_IMAGENET = AutoAugment(_chains("""
    posterize 0.4 8, rotate 0.6 9
    solarize 0.6 5, auto_contrast 0.6 0
    equalize 0.8 0, equalize 0.6 0
    posterize 0.6 7, posterize 0.6 6
    equalize 0.4 0, solarize 0.2 4
    equalize 0.4 0, rotate 0.8 8
    solarize 0.6 3, equalize 0.6 0
    posterize 0.8 5, equalize 1.0 0
    rotate 0.2 3, solarize 0.6 8
    equalize 0.6 0, posterize 0.4 6
    rotate 0.8 8, colour 0.4 0
    rotate 0.4 9, equalize 0.6 0
    equalize 0.0 0, equalize 0.8 0
    invert 0.6 0, equalize 1.0 0
    colour 0.6 4, contrast 1.0 8
    rotate 0.8 8, colour 1.0 2
    colour 0.8 8, solarize 0.8 7
    sharpness 0.4 7, invert 0.6 0
    shear_x 0.6 5, equalize 1.0 0
    colour 0.4 0, equalize 0.6 0
    equalize 0.4 0, solarize 0.2 4
    solarize 0.6 5, auto_contrast 0.6 0
    invert 0.6 0, equalize 1.0 0
    colour 0.6 4, contrast 1.0 8
    equalize 0.8 0, equalize 0.6 0
"""))
AUTO_CIFAR10 = AutoAugment(_chains("""
    invert 0.1 0, contrast 0.2 6
    rotate 0.7 2, translate_x 0.3 9
    sharpness 0.8 1, sharpness 0.9 3
    shear_y 0.5 8, translate_y 0.7 9
    auto_contrast 0.5 0, equalize 0.9 0
    shear_y 0.2 7, posterize 0.3 7
    colour 0.4 3, brightness 0.6 7
    sharpness 0.3 9, brightness 0.7 9
    equalize 0.6 0, equalize 0.5 0
    contrast 0.6 7, sharpness 0.6 5
    colour 0.7 7, translate_x 0.5 8
    equalize 0.3 0, auto_contrast 0.4 0
    translate_y 0.4 3, sharpness 0.2 6
    brightness 0.9 6, colour 0.2 8
    solarize 0.5 2, invert 0.0 0
    equalize 0.2 0, auto_contrast 0.6 0
    equalize 0.2 0, equalize 0.6 0
    colour 0.9 9, equalize 0.6 0
    auto_contrast 0.8 0, solarize 0.2 8
    brightness 0.1 3, colour 0.7 0
    solarize 0.4 5, auto_contrast 0.9 0
    translate_y 0.9 9, translate_y 0.7 9
    auto_contrast 0.9 0, solarize 0.8 3
    equalize 0.8 0, invert 0.1 0
    translate_y 0.7 9, auto_contrast 0.9 0
"""))

POLICIES: dict[str, Policy] = {"auto_imagenet": AUTO_IMAGENET, "auto_cifar10": AUTO_CIFAR10,
                               "trivial": TrivialAugment()}
