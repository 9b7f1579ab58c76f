"""The visits and clips of a run: read from a data set, split by infant, decoded once."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from deps_jax.common.files import workdir
from nurture_jax import records
from nurture_jax.clips import clip_cache
from nurture_jax.clips.clip_batches import MASK_STRIDE, ClipSource
from nurture_jax.evaluation.estimates import is_birth_weight
from nurture_jax.records import splits
from nurture_jax.records.video import MINIMUM_S, ClipSettings
from nurture_jax.training import training_data

NEGATIVES = "negatives"  # of a data set: recordings without a newborn
HELD_OUT = ("validation", "calibration", "test")


@dataclasses.dataclass(frozen=True)
class Data:
    """Where the visits are, and how clips are cut from their videos.

    Attributes:
      dir: Folder of the records.
      cache: Folder of decoded clips; "" is DIR/cache.
      negatives: Folder of videos and photographs without a newborn, see `records.negatives`, which
        are trained on beside those of DIR/negatives; "" is none.
      workers: Number of processes that decode videos; 0 decodes in this one.
      read_workers: Number of processes that read decoded clips; 0 reads in threads of this one.
      frames, size, fit, minimum_s: See `ClipSettings`.
      validation_fraction, calibration_fraction, test_fraction: Parts of the infants that choose
        weights, calibrate intervals (0: those of validation do both), and are measured.
      split_seed: Seed that says which infants.

    Raises:
      ValueError: If a number of processes is negative, or a clip cannot be so.
    """

    dir: str = ""
    cache: str = ""
    negatives: str = ""
    workers: int = 0
    read_workers: int = 0
    frames: int = 25
    size: int = 224
    fit: str = "crop"
    minimum_s: float = MINIMUM_S
    validation_fraction: float = 0.15
    calibration_fraction: float = 0.0
    test_fraction: float = 0.15
    split_seed: int = 0

    def __post_init__(self) -> None:
        if min(self.workers, self.read_workers) < 0:
            raise ValueError(f"data.workers {self.workers} and data.read_workers "
                             f"{self.read_workers} must not be negative; use 0 for none")
        _ = self.clip  # one that cannot be is refused before a video is read
        if self.size % MASK_STRIDE:
            raise ValueError(f"data.size {self.size} is no multiple of {MASK_STRIDE} px; use 96")

    @property
    def clip(self) -> ClipSettings:
        """How clips are cut from the videos."""
        return ClipSettings(self.frames, self.size, self.fit, self.minimum_s)

    @property
    def negative_folders(self) -> list[Path]:
        """Folders of recordings without a newborn: the data set's own, and `negatives`."""
        folders = [Path(self.dir) / NEGATIVES] if (Path(self.dir) / NEGATIVES).is_dir() else []
        return [*folders, *([Path(self.negatives)] if self.negatives else [])]

    @property
    def cache_folder(self) -> Path:
        """The folder of decoded clips."""
        return Path(self.cache) if self.cache else Path(self.dir) / "cache"


def read_data(data: Data, folder: Path) -> tuple[records.Records, dict[str, records.Records]]:
    """The visits of a data set and their splits: those of a run in the folder, or drawn anew.

    Raises:
      ValueError: If the visits that the run was begun with have changed; or as `records.load`
        and `read_splits`.
    """
    found = records.load(data.dir, minimum_s=data.minimum_s, workdir=folder)
    parts = read_splits(data, found, folder)
    if is_begun(folder):
        training_data.check(parts, folder)
    return found, parts


def open_data(data: Data, folder: Path
              ) -> tuple[dict[str, records.Records], dict[str, ClipSource]]:
    """Visits and clips by split of the run in `folder`; errors are those of `read_data`."""
    found, parts = read_data(data, folder)
    return parts, open_sources(data, found, parts)


def read_splits(data: Data, found: records.Records, folder: Path) -> dict[str, records.Records]:
    """Train, validation, calibration and test: as the run has written them, or drawn anew.

    Raises:
      ValueError: If no visit for validation has a weight; or as `splits.read` and `splits.split`.
    """
    held_out = {name: getattr(data, f"{name}_fraction") for name in HELD_OUT}
    fractions = {"train": 1 - sum(held_out.values()), **held_out}
    if is_begun(folder):
        return splits.read(found, folder)
    parts = splits.split(found, data.split_seed, {k: part for k, part in fractions.items() if part})
    if not any(visit.weight_g and not is_birth_weight(visit)
               for visit in parts.get("validation", records.Records("", ())).visits):
        raise ValueError("no visit for validation has a weight_g beside the birth weight, so the "
                         "best weights cannot be told; raise data.validation_fraction or record "
                         "more infants")
    return parts


def open_sources(data: Data, found: records.Records, parts: Mapping[str, records.Records],
                 mask_stride: int = MASK_STRIDE) -> dict[str, ClipSource]:
    """Clips of every split, of training alone moved to annotated frames; what is new is decoded."""
    cache = clip_cache.build(found, data.cache_folder, data.clip, workers=data.workers)
    return {name: ClipSource(cache.of_infants(part.infants), mask_stride, exact=name == "train")
            for name, part in parts.items()}


def is_begun(folder: Path) -> bool:
    """Whether there is a run in the folder, with all that it is made of."""
    return (folder / workdir.CONFIG).is_file()
