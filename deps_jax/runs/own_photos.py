"""Your own photos: a run that starts from weights, fits a classifier, then trains all layers.

All numbers below are our choice, tried on small sets (docs/data.md).
"""
from __future__ import annotations

import dataclasses
from pathlib import Path

import jax

from deps_jax.common.files import workdir
from deps_jax.common.files.tensors import load_state_dict
from deps_jax.data.augment import IMAGENET_MEAN, IMAGENET_STD
from deps_jax.data.folder import folder, labels_of
from deps_jax.data.sources import Splits
from deps_jax.evaluation.linear_probe import check_counts
from deps_jax.runs.trained import read_space
from deps_jax.space.families import SPACES
from deps_jax.supernet.convert import count_classes, fits, kernels_of
from deps_jax.training.experiment import Experiment, SpaceSettings

RATE = 0.02  # peak, for batches of 32: a fifth of what a supernet learns with from nothing
STEPS, EPOCHS = 150, 10.0  # whichever is longer
BATCH = 32
HELD_OUT = 5  # one of so many training photos is for validation, at most:
MOST_VALIDATION = 2000
CALIBRATION, CALIBRATION_BATCH = 2000, 200  # the reference's, or as many photos as there are
LEAST_AREA = 0.35  # of random crops: a smaller part of a photo often shows nothing of its class
WIDTHS = (1.0, 1.2, 1.3, 0.25, 0.5, 0.75, 0.125)  # of published and of our own supernets


@dataclasses.dataclass(frozen=True)
class Start:
    """Weights to start from, and what must stay as it was with them.

    Attributes:
      weights: Folder of a run, or file of a checkpoint.
      space: Section of a config, see `SpaceSettings`.
      resolution: Side of the images in pixels that they were trained on.
      classes: Number of classes that they know.
      mean, std: Normalisation of the images, for each channel.
      subnet: Name of the only network that was trained; "" is all of the space.
      data: Name of the data set, where it is known.
    """

    weights: Path
    space: dict
    resolution: int
    classes: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    subnet: str = ""
    data: str = ""

    @classmethod
    def of(cls, weights: Path, family: str = "") -> Start:
        """What is known about some weights.

        Args:
          family: Space of a checkpoint, see `SpaceSettings`; "" finds it by its shapes.

        Raises:
          ValueError: If there is no run and no checkpoint, or its space is not known.
        """
        if not weights.exists():
            raise ValueError(f"--weights {weights} does not exist; give the folder of a training "
                             f"run, or a PyTorch checkpoint of a supernet (.pth, .pt, .npz)")
        return cls._of_run(weights) if weights.is_dir() else cls._of_file(weights, family)

    @classmethod
    def _of_run(cls, run: Path) -> Start:
        experiment, space = workdir.understood(run, Experiment.from_dict), read_space(run)
        alone = "" if experiment.method.trains_space else experiment.subnet or "largest"
        return cls(run, {**workdir.load(run)["space"], "resolution": space.resolution},
                   space.resolution, space.num_classes, tuple(experiment.augment.mean),
                   tuple(experiment.augment.std), alone, experiment.data.name)

    @classmethod
    def _of_file(cls, path: Path, family: str) -> Start:
        state = load_state_dict(path)
        classes, (kernels, transforms) = count_classes(state), kernels_of(state)
        for name in [family] if family else SPACES:
            for width in WIDTHS:
                section = {"family": name, "width_mult": width, "kernel_transform": transforms,
                           **({"kernels": list(kernels)} if kernels else {})}
                space = SpaceSettings(**section).build(classes)
                if fits(space, state):
                    return cls(path, {**section, "resolution": space.resolution},
                               space.resolution, classes)
        raise ValueError(f"the tensors of {path} fit {family or 'no known space'} with none of "
                         f"the widths {WIDTHS}; name their space with --family, one of "
                         f"{tuple(SPACES)} or module:NAME")

    def carried_over(self, resolution: int) -> str:
        """One sentence about what the new run takes from the weights, and what it cannot take."""
        told = [f"{self.weights} ({self.space['family']}, width {self.space['width_mult']:g}"
                + (f", trained on {self.data}" if self.data else "")
                + "): all layers are taken but the classifier, which knows "
                f"{self.classes} other classes; a new one is fitted"]
        told.append(f"photos are seen at {resolution} px"
                    + ("" if resolution == self.resolution else
                       f", though the weights are used to {self.resolution} px"))
        if self.data == "digits":
            told.append("they know nothing of colour, since digits are grey")
        if self.subnet:
            told.append(f"only {self.subnet} was trained, so it is trained alone")
        return "; ".join(told)


def photos_config(photos: Path, start: Start, *, resolution: int = 0, epochs: float = 0.0,
                  rate: float = RATE, seed: int = 0, flip: bool = True,
                  skip_unreadable: bool = False) -> dict:
    """The config of a run on a folder of photos that starts from weights.

    Its first step finds a classifier that is fitted to the features of the weights; then all layers
    are trained, the largest, the smallest and two random networks in each step, where the weights
    are those of a whole space.

    Args:
      photos: Folder of class folders, or with train/ and test/ or val/ inside.
      start: What is known of the weights.
      resolution: Side of the images in pixels; 0 is that of the weights.
      epochs: Passes over the training photos; 0 takes EPOCHS, or as many as make STEPS.
      rate: Peak learning rate.
      seed: Seed of the order of the photos, their augmentation and the networks that are drawn.
      flip: Whether photos are mirrored at random.
      skip_unreadable: Whether damaged photos are left out instead of refused.

    Raises:
      ValueError: If there is no such folder, it is no folder of classes, a class has too few
        photos, or a number is out of its range.
    """
    if epochs < 0 or rate <= 0 or resolution < 0:
        raise ValueError(f"--epochs {epochs:g}, --rate {rate:g} and --resolution {resolution} must "
                         f"be above 0; leave them out for those that the photos ask for")
    found = open_photos(photos, skip_unreadable)
    count, devices = len(found.train), jax.local_device_count()
    whole = lambda most: max(min(most, count) // devices, 1) * devices  # divides by the devices
    batch, calibration = whole(BATCH), whole(CALIBRATION_BATCH)
    epochs = epochs or max(EPOCHS, STEPS / (count // batch))
    plain = {"method": {"name": "plain"}, "subnet": start.subnet}
    return {
        "seed": seed, "init_from": str(start.weights), "fit_classifier": True,
        **(plain if start.subnet else {"method": {"name": "bignas"}}),
        "data": {"name": "folder", "dir": str(photos), "resize": True, "placement": "streamed",
                 "least_area": LEAST_AREA, "validation_images": len(found.validation),
                 "skip_unreadable": skip_unreadable},
        "augment": {"mean": list(start.mean), "std": list(start.std), "flip": flip},
        "space": {**start.space, "resolution": resolution or start.resolution},
        "optimizer": {"name": "sgd", "learning_rate": rate, "schedule": "cosine",
                      "min_learning_rate": 0.0, "momentum": 0.9, "weight_decay": 3e-5,
                      "warmup_epochs": min(1.0, epochs / 4), "warmup_learning_rate": 0.0},
        "training": {"epochs": epochs, "batch_size": batch},
        "evaluation": {"batch_size": whole(CALIBRATION_BATCH),
                       "subnets": [start.subnet] if start.subnet else [],
                       "calibration_images": min(CALIBRATION, count) // calibration * calibration,
                       "calibration_batch_size": calibration},
        "cadence": {"log_every": 25, "checkpoint_every": 100, "evaluate_every": 0}}


def open_photos(photos: Path, skip_unreadable: bool = False) -> Splits:
    """The splits of a folder of photos, of which none is decoded unless damaged ones are left out.

    Raises:
      ValueError: If there is no such folder, it is no folder of classes, or a class has too few
        photos.
    """
    if not photos.is_dir():
        raise ValueError(f"--photos {photos} is no folder; give one with a folder of photos for "
                         f"each class, such as {photos}/cat/001.jpg")
    read = lambda validation: folder(str(photos), validation_images=validation, seed=0,
                                     skip_unreadable=skip_unreadable,
                                     verified=not skip_unreadable)
    found = read(0)
    found = read(min(len(found.train) // HELD_OUT, MOST_VALIDATION))
    check_counts(labels_of(found.train), found.class_names)
    return found
