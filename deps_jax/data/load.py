"""A data set by name, from plain settings."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax

from deps_jax.common.command.named import named
from deps_jax.common.loop.batches import Batches
from deps_jax.data.folder import Centred, folder
from deps_jax.data.images import with_margin
from deps_jax.data.pipeline import (
    PLACEMENTS,
    Change,
    ResidentBatches,
    StreamedBatches,
    calibration_batches,
)
from deps_jax.data.policies import POLICIES, Policy
from deps_jax.data.sources import (
    TFDS_NAMES,
    Source,
    Splits,
    check_resolution,
    digits,
    in_memory,
    select,
    split,
    tfds,
)

NAMES = ("digits", "folder", *TFDS_NAMES)


@dataclasses.dataclass(frozen=True)
class Data:
    """Which images, and how they reach the device.

    Attributes:
      name: Name of the data set: "digits" (comes with scikit-learn), "folder" (class folders), or
        one that tensorflow-datasets has prepared as array_record, such as "cifar10".
      dir: Folder of the data; "" is TFDS_DATA_DIR for data sets of tensorflow-datasets.
      validation_images: Number of images cut from train for validation, by `seed`.
      train_images: Number of images of the rest to train on, drawn by `seed`; 0 is all.
      seed: Seed of these cuts; the shuffling has its own.
      classes: Names of the classes to use, in any order; () is all.
      resize: Whether images have many sizes and are cropped to one: random resized crops in
        training, centre crops otherwise. Without it they must have the space's resolution, or
        `resolution`.
      least_area: Least area of the random crops, as a share of the image.
      policy: Policy that changes training images after the crop: a name of `policies.POLICIES`,
        "module:NAME" of one of your own, or "" for none.
      resolution: Side in pixels of the images as they lie there, when they are to be resized to
        the space's resolution, in training as in evaluation; 0 means that they have it.
      placement: Where training images are kept: "resident" keeps all on the device, "streamed"
        decodes them on the way. Both give the same batches; `resize` and `policy` need "streamed".
      workers: Number of processes that decode streamed images; 0 decodes in the training process.
      skip_unreadable: Whether damaged files of a folder are left out instead of refused.

    Raises:
      ValueError: If a setting is unknown or out of its range.
    """

    name: str
    dir: str = ""
    validation_images: int = 0
    train_images: int = 0
    seed: int = 0
    classes: tuple[str, ...] = ()
    resize: bool = False
    least_area: float = 0.08
    policy: str = ""
    resolution: int = 0
    placement: str = "resident"
    workers: int = 0
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"data set {self.name!r} is unknown; use one of {NAMES}")
        if self.placement not in PLACEMENTS:
            raise ValueError(f"placement {self.placement!r} is unknown; use one of {PLACEMENTS}")
        for field in ("validation_images", "train_images", "resolution", "workers"):
            if getattr(self, field) < 0:
                raise ValueError(f"data.{field} {getattr(self, field)} is negative; use 0 or more")
        if not 0 < self.least_area <= 1:
            raise ValueError(f"data.least_area {self.least_area} is not in (0, 1]; use 0.08")
        object.__setattr__(self, "classes", tuple(self.classes))
        if ":" not in self.policy:  # one of a user's own is looked for where it is needed
            self.changes()

    def changes(self) -> Policy | None:
        """The policy that `policy` names; None for "".

        Raises:
          ValueError: If it is unknown or cannot be imported.
        """
        return named("data.policy", self.policy, POLICIES, Policy) if self.policy else None


def load(data: Data, resolution: int, known: Mapping[str, Sequence[str]] | None = None) -> Splits:
    """The splits of a data set.

    Args:
      data: What to load.
      resolution: Side of the space's images in pixels; digits are enlarged to it, or to
        `data.resolution`.
      known: Names of the examples of each split as `names_of` gives them, from an earlier call;
        then nothing is drawn, and no image of a folder is decoded to check it.

    Raises:
      ValueError: If the folder is missing or wrong, images have another size, more images are
        asked for than there are, or known ones are gone.
    """
    resolution = data.resolution or resolution
    validation_images = 0 if known else data.validation_images
    if data.name == "digits":
        splits = digits(resolution, validation_images, data.seed, data.classes)
    elif data.name == "folder":
        splits = folder(data.dir, validation_images=validation_images, seed=data.seed,
                        chosen=data.classes, skip_unreadable=data.skip_unreadable,
                        verified=known is not None)
    else:
        splits = tfds(data.name, data.dir, validation_images, data.seed, data.classes,
                      verified=known is not None)
    if known:
        splits = select(splits, known)
    elif data.train_images not in (0, len(splits.train)):
        _, used = split(splits.train, data.train_images, data.seed + 1)
        splits = dataclasses.replace(splits, train=used)
    if not data.resize:
        check_resolution(splits.train[0]["image"], resolution)
    return splits


def short_side(data: Data, resolution: int) -> int:
    """Pixels of the short side of an image before its centre is cut out, see `centre_crop`."""
    return with_margin(resolution) if data.resize else resolution


def squares(data: Data, source: Source, resolution: int) -> Source:
    """The source as evaluation sees it: all images `resolution` pixels square."""
    if not data.resize and len(source) and source[0]["image"].shape[:2] == (resolution,) * 2:
        return source
    return Centred(source, resolution, short_side(data, resolution))


def check_placement(data: Data) -> None:
    """Raises ValueError if images are to lie on the device, but be changed where they are decoded.

    It does so, too, if the policy cannot be imported.
    """
    data.changes()
    if data.placement == "resident" and (data.resize or data.policy):
        what = (f"data.policy {data.policy!r} changes every image in another way each time"
                if data.policy else
                "data.resize cuts another random part out of every image each time")
        raise ValueError(f"{what}, but data.placement 'resident' keeps images on the device as "
                         f"they are; use --config.data.placement=streamed")


def train_batches(data: Data, source: Source, batch_size: int, seed: int, resolution: int
                  ) -> Batches:
    """Endless shuffled batches, the same in every placement and with any number of workers.

    Args:
      batch_size: Number of images of a batch.
      seed: Seed of the shuffling and of what is changed where images are decoded.
      resolution: Side of the images in pixels.

    Raises:
      ValueError: If the placement does not allow it (see `check_placement`), a batch is larger
        than the data, or an image for the device has another size.
    """
    check_placement(data)
    if not data.resize:
        source = squares(data, source, resolution)
    if data.placement == "resident":
        return ResidentBatches(in_memory(source, resolution), batch_size, seed)
    change = Change(resolution if data.resize else 0, data.least_area, data.changes())
    return StreamedBatches(source, batch_size, seed, workers=data.workers, change=change)


def calibration(data: Data, source: Source, images: int, batch_size: int, seed: int,
                resolution: int) -> jax.Array:
    """Images for `Evaluator.recalibrate`, without augmentation, see `calibration_batches`."""
    return calibration_batches(squares(data, source, resolution), images, batch_size, seed)
