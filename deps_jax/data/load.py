"""A data set by name, from plain settings."""
from __future__ import annotations

import dataclasses

from deps_jax.data.folder import Centred, folder
from deps_jax.data.images import with_margin
from deps_jax.data.pipeline import (
    PLACEMENTS,
    ResidentBatches,
    StreamedBatches,
    calibration_batches,
)
from deps_jax.data.sources import (
    TFDS_NAMES,
    Source,
    Splits,
    check_resolution,
    digits,
    in_memory,
    split,
    tfds,
)

NAMES = ("digits", "folder", *TFDS_NAMES)


@dataclasses.dataclass(frozen=True)
class Data:
    """Which images, and how they reach the device.

    Attributes:
      name: "digits" (comes with scikit-learn), "folder" (class folders), or a data set that
        tensorflow-datasets has prepared as array_record, such as "cifar10".
      dir: its folder; "" is TFDS_DATA_DIR for the latter.
      validation_images: cut from train, by `seed`.
      train_images: use only so many of the rest, by `seed`; 0 is all.
      seed: of these cuts, not of the shuffling.
      resize: images have many sizes: random resized crops in training, centre crops otherwise.
        Without it they must have the space's resolution.
      placement: "resident" keeps all training images on the device, "streamed" decodes them
        on the way.
      workers: processes that decode streamed images; 0 decodes in the training process.
      skip_unreadable: leave damaged files of a folder out instead of refusing it.
    """

    name: str
    dir: str = ""
    validation_images: int = 0
    train_images: int = 0
    seed: int = 0
    resize: bool = False
    placement: str = "resident"
    workers: int = 0
    skip_unreadable: bool = False

    def __post_init__(self):
        if self.name not in NAMES:
            raise ValueError(f"data set {self.name!r} is unknown; use one of {NAMES}")
        if self.placement not in PLACEMENTS:
            raise ValueError(f"placement {self.placement!r} is unknown; use one of {PLACEMENTS}")
        for field in ("validation_images", "train_images", "workers"):
            if getattr(self, field) < 0:
                raise ValueError(f"data.{field} {getattr(self, field)} is negative; use 0 or more")


def load(data: Data, resolution: int) -> Splits:
    """The splits of a data set; `resolution` is the size digits are enlarged to.

    Raises:
      ValueError: for a folder that is missing or wrong, or images of another size.
    """
    if data.name == "digits":
        splits = digits(resolution, data.validation_images, data.seed)
    elif data.name == "folder":
        splits = folder(data.dir, validation_images=data.validation_images, seed=data.seed,
                        skip_unreadable=data.skip_unreadable)
    else:
        splits = tfds(data.name, data.dir, data.validation_images, data.seed)
    if not data.resize:
        check_resolution(splits.train[0]["image"], resolution)
    if data.train_images:
        rest, used = split(splits.train, data.train_images, data.seed + 1)
        del rest
        splits = dataclasses.replace(splits, train=used)
    return splits


def short_side(data: Data, resolution: int) -> int:
    """Pixels of the short side before the centre of an image is cut out, see `centre_crop`."""
    return with_margin(resolution) if data.resize else resolution


def squares(data: Data, source: Source, resolution: int) -> Source:
    """The source as evaluation sees it: images of one resolution."""
    if not data.resize and len(source) and source[0]["image"].shape[:2] == (resolution,) * 2:
        return source
    return Centred(source, resolution, short_side(data, resolution))


def train_batches(data: Data, source: Source, batch_size: int, seed: int, resolution: int):
    """Endless shuffled batches in the chosen placement."""
    if data.placement == "resident":
        return ResidentBatches(in_memory(squares(data, source, resolution), resolution),
                               batch_size, seed)
    return StreamedBatches(source, batch_size, seed, workers=data.workers,
                           crop_resolution=resolution if data.resize else 0)


def calibration(data: Data, source: Source, images: int, batch_size: int, seed: int,
                resolution: int) -> list[dict]:
    """Batches for `Evaluator.recalibrate`, without augmentation."""
    return calibration_batches(squares(data, source, resolution), images, batch_size, seed)
