"""Where images come from: random-access sources of {"image": [h, w, 3] uint8, "label": int}.

Any object with `len()` and `[index]` that returns such a dict is a source.
"""
from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from tqdm import tqdm

from deps_jax.common.command.few import few

TFDS_NAMES = ("cifar10", "cifar100", "imagenet2012", "imagenette", "mnist", "fashion_mnist")


class Source(Protocol):
    """Random access to labelled images."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict: ...


@dataclasses.dataclass(frozen=True)
class Splits:
    """A data set cut in three. Test is for the end; decisions are made on validation.

    Attributes:
      train, validation, test: Sources of the three parts.
      class_names: Name of every class, at the place of its number.
      listing: What the data set is, see `deps_jax.data.listing`; empty where nobody asked.
    """

    train: Source
    validation: Source
    test: Source
    class_names: tuple[str, ...]
    listing: Mapping = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ArraySource:
    """Images in memory.

    Attributes:
      images: The images, [n, h, w, 3] uint8.
      labels: Number of each image's class, [n] integers.

    Raises:
      ValueError: If the arrays have other shapes or types.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[-1] != 3 or self.images.dtype != np.uint8:
            raise ValueError(f"images are {self.images.dtype} {self.images.shape}; give uint8 "
                             f"[n, h, w, 3]")
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"labels are {self.labels.shape} for {len(self.images)} images; give "
                             f"one integer for each")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        return {"image": self.images[index], "label": int(self.labels[index])}


@dataclasses.dataclass(frozen=True)
class Subset:
    """Some examples of a source, in a given order.

    Attributes:
      source: The source.
      indices: Positions of the examples in it, [n] integers.
    """

    source: Source
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict:
        return self.source[int(self.indices[index])]


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """A data set prepared by tensorflow-datasets as array_record, read without TensorFlow.

    Attributes:
      source: The examples as tensorflow-datasets gives them; grey images become three channels.
      part: Name of their split there, such as "train".
      numbers: The label that each used class becomes, by its number in the data set; examples of
        other classes are not asked for. None uses all classes as they are.
    """

    source: Sequence
    part: str
    numbers: Mapping[int, int] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the examples, such as "train/17", see `names_of`."""
        return tuple(f"{self.part}/{i}" for i in range(len(self)))

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict:
        example = self.source[index]
        image = example["image"]
        if image.shape[-1] == 1:
            image = np.repeat(image, 3, axis=-1)
        label = int(example["label"])
        return {"image": image, "label": self.numbers[label] if self.numbers else label}


def names_of(source: Source) -> list[str]:
    """The names by which the examples of a source are found again, in its order.

    An image of a folder is called by its file, such as "cat/001.jpg", an example of
    tensorflow-datasets by its split and number there, such as "train/17", any other by its number.
    """
    if isinstance(source, Subset):
        every = names_of(source.source)
        return [every[index] for index in source.indices]
    return list(getattr(source, "names", None) or map(str, range(len(source))))


def select(splits: Splits, names: Mapping[str, Sequence[str]]) -> Splits:
    """The data set cut in another way: as it was when `names_of` its splits was kept.

    Args:
      splits: The data set, cut in any way.
      names: Names of the examples of every split, {"train": [...], "validation": [...],
        "test": [...]}.

    Raises:
      ValueError: If examples are not in the data set any more; the message names the first.
    """
    wholes = {}  # {name: (the source it is in, its place there)}
    for part in ("train", "validation", "test"):
        whole = getattr(splits, part)
        while isinstance(whole, Subset):
            whole = whole.source
        wholes |= {name: (whole, i) for i, name in enumerate(names_of(whole))}
    missing = [name for part in names.values() for name in part if name not in wholes]
    if missing:
        raise ValueError(f"{len(missing)} images are no longer in the data set: "
                         f"{few(missing)}; put them back, or train anew in another --workdir")
    parts = {}
    for part, chosen in names.items():
        whole = wholes[chosen[0]][0] if chosen else splits.train
        assert all(wholes[name][0] is whole for name in chosen), "a split lies in one source"
        parts[part] = Subset(whole, np.array([wholes[name][1] for name in chosen], int))
    return dataclasses.replace(splits, **parts)


def split(source: Source, count: int, seed: int) -> tuple[Subset, Subset]:
    """(the rest, `count` random examples), both in the order of the source.

    This is how validation is cut from train.

    Raises:
      ValueError: If nothing would be left, or `count` is negative.
    """
    if not 0 <= count < len(source):
        raise ValueError(f"{count} images cannot be cut from {len(source)}; ask for fewer")
    order = np.random.default_rng(seed).permutation(len(source))
    return Subset(source, np.sort(order[count:])), Subset(source, np.sort(order[:count]))


def in_memory(source: Source, resolution: int) -> ArraySource:
    """All images of a source, decoded once.

    Raises:
      ValueError: If an image is not `resolution` pixels square.
    """
    images = np.empty((len(source), resolution, resolution, 3), np.uint8)
    labels = np.empty(len(source), np.int32)
    for i in range(len(source)):
        example = source[i]
        check_resolution(example["image"], resolution)
        images[i], labels[i] = example["image"], example["label"]
    return ArraySource(images, labels)


def check_resolution(image: np.ndarray, resolution: int) -> None:
    """Raises ValueError unless the image is `resolution` pixels square."""
    if image.shape[:2] != (resolution, resolution):
        height, width = image.shape[:2]
        raise ValueError(f"an image is {width}x{height} px, the space takes {resolution}x"
                         f"{resolution}; set space.resolution, or data.resize for a folder")


def check_classes(chosen: Sequence[str], there: Sequence[str], where: str) -> None:
    """Raises ValueError unless the chosen classes are there, different and not just one."""
    offered = frozenset(there)
    missing = [name for name in chosen if name not in offered]
    if missing:
        raise ValueError(f"{len(missing)} of the {len(chosen)} classes in data.classes are not in "
                         f"{where}: {few(missing)}; it has {len(there)}: {few(sorted(there))}; "
                         f"correct them, or leave data.classes empty to use all")
    if len(set(chosen)) < len(chosen) or len(chosen) == 1:
        raise ValueError(f"data.classes {tuple(chosen)} must be two or more different ones, or () "
                         f"for all")


def _numbers(chosen: Sequence[str], names: Sequence[str]) -> dict[int, int]:
    """{number of a chosen class: its number among the chosen}, both in the order of `names`."""
    used = frozenset(chosen)
    numbers = [number for number, name in enumerate(names) if name in used]
    return {number: i for i, number in enumerate(numbers)}


def digits(resolution: int, validation_images: int, seed: int,
           chosen: tuple[str, ...] = ()) -> Splits:
    """scikit-learn's 1,797 handwritten digits (UCI, 8x8 px), enlarged; nothing is downloaded.

    A fixed fifth is the test split; grey becomes three equal channels.

    Args:
      resolution: Side of the enlarged images in pixels, 8 or more.
      validation_images: Number of images of the validation split.
      seed: Seed by which they are drawn.
      chosen: Names of the digits to use; () is all.

    Raises:
      ValueError: If the resolution is too small, there are too few images, or the digits chosen
        are not two or more.
    """
    from sklearn.datasets import load_digits

    if resolution < 8:
        raise ValueError(f"resolution {resolution} px is below the digits' own 8; use 16 or 32")
    bunch = load_digits()
    grey = (bunch.images * 15.9375).astype(np.uint8)  # 16 levels to 255
    size = (resolution, resolution)
    enlarged = [cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in grey]
    images = np.repeat(np.stack(enlarged)[..., None], 3, axis=-1)
    names, labels = tuple("0123456789"), bunch.target.astype(np.int32)
    if chosen:
        check_classes(chosen, names, "the digits")
        numbers = _numbers(chosen, names)
        kept = np.isin(labels, list(numbers))
        images, labels = images[kept], np.array([numbers[i] for i in labels[kept]], np.int32)
        names = tuple(names[number] for number in numbers)
    everything = ArraySource(images, labels)
    rest, test = split(everything, len(everything) // 5, seed=0)
    train, validation = split(rest, validation_images, seed)
    return Splits(train, validation, test, names)


def tfds_builder(name: str, folder: str) -> Any:
    """tensorflow-datasets' own description of a data set, its builder.

    Args:
      name: Name of the data set.
      folder: Folder that it was prepared in; "" is the environment's TFDS_DATA_DIR.

    Raises:
      ValueError: If it is not there or cannot be read.
    """
    folder = folder or os.environ.get("TFDS_DATA_DIR", "")
    if not folder:
        raise ValueError(f"no folder for data set {name!r}; set --config.data.dir or "
                         f"TFDS_DATA_DIR to where tensorflow-datasets prepared it")
    if not (Path(folder) / name).is_dir():
        raise ValueError(f"{folder} holds no data set {name!r} (no folder {name} in it); set "
                         f"--config.data.dir to where tensorflow-datasets prepared it as "
                         f"array_record")
    import tensorflow_datasets

    try:
        return tensorflow_datasets.builder(name, data_dir=folder)
    except Exception as error:
        raise ValueError(f"data set {name!r} in {folder} cannot be read ({error}); prepare it "
                         f"with file_format='array_record'") from error


def tfds(name: str, folder: str, validation_images: int, seed: int, chosen: tuple[str, ...] = (),
         verified: bool = False) -> Splits:
    """A data set of tensorflow-datasets, already prepared in `folder` as array_record.

    Args:
      name: Name of the data set.
      folder: The data_dir that it was prepared in; "" is the environment's TFDS_DATA_DIR.
      validation_images: Number of images cut from train for validation.
      seed: Seed by which they are drawn.
      chosen: Names of the classes to use; () is all. All labels are read to find their examples.
      verified: The examples of the chosen classes are known (see `select`), so nothing is read.

    Raises:
      ValueError: If it is not there, cannot be read, has not all of the chosen classes, or has too
        few images.
    """
    builder = tfds_builder(name, folder)
    held_out = "validation" if name in ("imagenet2012", "imagenette") else "test"
    names = tuple(builder.info.features["label"].names)
    check_classes(chosen, names, f"data set {name!r}")
    numbers = _numbers(chosen, names) if chosen else None
    try:
        train, test = (TfdsSource(builder.as_data_source(part), part, numbers)
                       for part in ("train", held_out))
        if numbers and not verified:
            train, test = (_only(source, builder) for source in (train, test))
    except Exception as error:
        raise ValueError(f"data set {name!r} in {builder.data_dir} cannot be read ({error}); "
                         f"prepare it with file_format='array_record'") from error
    train, validation = split(train, validation_images, seed)
    return Splits(train, validation, test,
                  tuple(names[number] for number in numbers) if numbers else names)


def _only(source: TfdsSource, builder: Any) -> Subset:
    """The examples of the classes that `source.numbers` keeps; images are not decoded."""
    import tensorflow_datasets

    labels = builder.as_data_source(
        source.part, decoders={"image": tensorflow_datasets.decode.SkipDecoding()})
    progress = tqdm(range(len(labels)), desc=f"choosing classes of {source.part}", unit="image",
                    unit_scale=True, leave=False)
    return Subset(source, np.array([i for i in progress
                                    if int(labels[i]["label"]) in source.numbers], int))
