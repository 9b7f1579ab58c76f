"""Your own photos: a folder of class folders, or one with train/ and val/ or test/ inside."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deps_jax.common.command.few import few
from deps_jax.data.images import centre_crop, read_image
from deps_jax.data.sources import Source, Splits, Subset, check_classes, split

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_HELD_OUT = ("test", "val", "validation")


@dataclasses.dataclass(frozen=True)
class FolderSource:
    """Images of a folder of class folders, decoded when asked for, of any size.

    Attributes:
      root: The folder that names begin in.
      names: Names of the n image files, such as "cat/001.jpg", class by class in alphabetical
        order.
      labels: Number of each image's class, [n] int32.
    """

    root: Path
    names: tuple[str, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict:
        return {"image": read_image(self.root / self.names[index]),
                "label": int(self.labels[index])}


@dataclasses.dataclass(frozen=True)
class Centred:
    """Images of a source as evaluation sees them, see `centre_crop`.

    Attributes:
      source: The source.
      resolution: Side in pixels of the square that is cut out.
      short_side: Pixels of the short side before that.
    """

    source: Source
    resolution: int
    short_side: int

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict:
        example = self.source[index]
        return {**example, "image": centre_crop(example["image"], self.resolution,
                                                self.short_side)}


def folder(root: str, *, validation_images: int, seed: int, chosen: tuple[str, ...] = (),
           skip_unreadable: bool = False, verified: bool = False) -> Splits:
    """The splits of a folder.

    With `train/` inside `root`, the test split is `test/`, `val/` or `validation/`, the first that
    is there; otherwise the class folders lie in `root`. Where no folder is the test split, a fixed
    fifth of the images is. The validation split is cut from the rest.

    Args:
      root: The folder.
      validation_images: Number of images of the validation split.
      seed: Seed by which they are drawn.
      chosen: Names of the classes to use; () is all.
      skip_unreadable: Leave damaged images out instead of refusing them.
      verified: The images have been decoded before (see `select`), so none is decoded now, and
        damaged ones are among them.

    Raises:
      ValueError: If the folder is missing, empty or of one class, chosen classes are not there,
        classes differ between the splits, there are too few images, or some are unreadable and not
        to be skipped.
    """
    (first, train, classes), *held_out = [
        (place, *scan(place, Path(root), chosen)) for place in _places(root)]
    for place, _, other in held_out:
        if other != classes:
            raise ValueError(f"{place} has classes {other}, {first} has {classes}; both need the "
                             f"same class folders")
    test = held_out[0][1] if held_out else None
    sources = [source if verified else check_images(source, skip_unreadable)
               for source in (train, test) if source]
    if test is None:
        sources = list(split(sources[0], len(sources[0]) // 5, seed=0))
    train, validation = split(sources[0], validation_images, seed)
    return Splits(train, validation, sources[1], classes)


def image_names(root: str) -> Iterator[str]:
    """Yields the names of all images of all classes, also of damaged ones; nothing is decoded.

    Raises:
      ValueError: If the folder is missing, or train or test are empty or of one class. Classes may
        differ between the two: some may be left out by `folder`.
    """
    for place in _places(root):
        yield from scan(place, Path(root))[0].names


def _places(root: str) -> list[Path]:
    """The folders of the train and of the test split; of one alone where nothing is held out."""
    top = Path(root)
    if not root or not top.is_dir():
        raise ValueError(f"data folder {root!r} does not exist; set --config.data.dir to a folder "
                         f"of class folders")
    if not (top / "train").is_dir():
        return [top]
    held_out = [top / name for name in _HELD_OUT if (top / name).is_dir()]
    return [top / "train", *held_out[:1]]


def scan(top: Path, root: Path, chosen: tuple[str, ...] = ()
         ) -> tuple[FolderSource, tuple[str, ...]]:
    """Image files of the class folders in `top`, and the class names; nothing is decoded.

    Class folders without images are left out.

    Args:
      root: `top`, or the folder above it that names of images begin in.
      chosen: Names of the classes to use; () is all.

    Raises:
      ValueError: If chosen classes are not there, or fewer than two classes have images.
    """
    found = {}
    folders = [entry for entry in sorted(top.iterdir())
               if entry.is_dir() and not entry.name.startswith(".")]
    check_classes(chosen, [entry.name for entry in folders], str(top))
    for entry in folders:
        if not chosen or entry.name in chosen:
            found[entry.name] = sorted(
                path for path in entry.rglob("*") if path.suffix.lower() in SUFFIXES)
    classes = tuple(name for name, paths in found.items() if paths)
    if not classes:
        raise ValueError(f"{top} holds no images in class folders; it needs one folder for each "
                         f"class, with files such as {', '.join(SUFFIXES[:3])}")
    if len(classes) == 1:
        raise ValueError(f"{top} holds one class, {classes[0]!r}; a classifier needs two or more "
                         f"class folders")
    names = tuple(path.relative_to(root).as_posix() for name in classes for path in found[name])
    labels = np.repeat(np.arange(len(classes), dtype=np.int32),
                       [len(found[name]) for name in classes])
    return FolderSource(root, names, labels), classes


def labels_of(source: Source) -> np.ndarray:
    """Number of each image's class, [n], of a folder or of a part of one; nothing is decoded."""
    return (labels_of(source.source)[source.indices] if isinstance(source, Subset)
            else source.labels)


def images_in(folder: Path) -> list[Path]:
    """Paths of the image files anywhere in a folder, sorted; ValueError if there is none."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"{folder} holds no images; give a folder with files such as "
                         f"{', '.join(SUFFIXES[:3])}")
    return paths


def check_images(source: FolderSource, skip_unreadable: bool) -> FolderSource:
    """Decodes every image once, on all cores.

    Returns:
      The source, without the images that cannot be read.

    Raises:
      ValueError: If there are such and not `skip_unreadable`; the message names the first.
    """
    def readable(name: str) -> bool:
        try:
            read_image(source.root / name)
        except ValueError:
            return False
        return True

    with ThreadPool() as pool:
        good = np.array(list(tqdm(pool.imap(readable, source.names, chunksize=8),
                                  total=len(source), desc="checking images", unit="image",
                                  leave=False)))
    bad = [str(source.root / source.names[i]) for i in np.flatnonzero(~good)]
    if not bad:
        return source
    names = few(bad)
    if not skip_unreadable:
        raise ValueError(f"{len(bad)} of {len(source)} images cannot be read: {names}; remove them "
                         f"or set --config.data.skip_unreadable=True (--skip_unreadable of "
                         f"launch.own_photos)")
    print(f"skipping {len(bad)} of {len(source)} images that cannot be read: {names}")
    return FolderSource(source.root, tuple(source.names[i] for i in np.flatnonzero(good)),
                        source.labels[good])
