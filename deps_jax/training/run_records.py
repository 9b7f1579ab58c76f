"""What a run was made of, kept in its folder: later commands need the data set for its pixels only.

    space.json     the search space and the names of the classes
    splits.json    which examples are in which split, and the listing of the data set
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from deps_jax.common.files import workdir
from deps_jax.common.files.sealed import tell
from deps_jax.data.listing import check_same, listing
from deps_jax.data.load import Data, load
from deps_jax.data.sources import Splits, names_of
from deps_jax.space.plain import from_plain, to_plain
from deps_jax.space.search_space import SearchSpace

SPACE, SPLITS = "space.json", "splits.json"
PARTS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class RunRecords:
    """What `workdir.claim` keeps of a run.

    Attributes:
      classes: Names of the classes, in the order of the classifier's outputs.
      listing: What the data set is, see `deps_jax.data.listing`.
      splits: Names of the examples of each split, {"train": [...], "validation": [...],
        "test": [...]}; see `names_of`.
    """

    space: SearchSpace
    classes: tuple[str, ...]
    listing: Mapping
    splits: Mapping[str, list[str]]

    @classmethod
    def of(cls, space: SearchSpace, splits: Splits) -> RunRecords:
        """The records of a run on these splits."""
        return cls(space, splits.class_names, splits.listing,
                   {part: names_of(getattr(splits, part)) for part in PARTS})

    def files(self) -> dict[str, dict]:
        """The contents of both files by name, for `workdir.claim`."""
        return {SPACE: {"space": to_plain(self.space), "classes": list(self.classes)},
                SPLITS: {"listing": self.listing, "splits": self.splits}}


def read(folder: Path) -> RunRecords | None:
    """The records of the run in a folder.

    They are None where there is no run yet, and for a run of an older version, about which a note
    is printed.

    Raises:
      ValueError: If a file is missing, damaged, edited by hand or of another version.
    """
    space = _read(folder, SPACE, ("space", "classes"))
    splits = _read(folder, SPLITS, ("listing", "splits")) if space else None
    if space is None or splits is None:
        return None
    return RunRecords(_space(space["space"], Path(folder) / SPACE), tuple(space["classes"]),
                      splits["listing"], splits["splits"])


def read_space(folder: Path) -> SearchSpace | None:
    """The space of the run in a folder, without its splits; None and errors are as of `read`."""
    content = _read(folder, SPACE, ("space", "classes"))
    return _space(content["space"], Path(folder) / SPACE) if content else None


def open_splits(data: Data, resolution: int, kept: RunRecords | None) -> Splits:
    """The splits of a data set with its listing: as a run has kept them, or drawn anew.

    Args:
      resolution: Side of the space's images in pixels, see `load`.
      kept: Records of the run; None draws the splits.

    Raises:
      ValueError: As `load`; and if the data set has changed since the run began; the
        message names what.
    """
    found = listing(data)
    if kept is None:
        return dataclasses.replace(load(data, resolution), listing=found)
    check_same(found, kept.listing, data.dir or f"data set {data.name!r}")
    return dataclasses.replace(load(data, resolution, kept.splits), listing=found,
                               class_names=kept.classes)


def _read(folder: Path, name: str, fields: tuple[str, ...]) -> dict | None:
    path = Path(folder) / name
    if not path.with_name(workdir.CONFIG).exists():
        return None
    content = workdir.read(folder, name)
    if content is None:
        tell(f"{folder} is of an older version and holds no {name}: space and splits are made "
             f"from the data set as it is now")
    elif missing := [field for field in fields if field not in content]:
        raise ValueError(f"{path} has no field {missing[0]!r}; put it back from a copy, or start "
                         f"anew in another --workdir")
    return content


def _space(fields: Mapping, path: Path) -> SearchSpace:
    try:
        return from_plain(fields)
    except ValueError as error:
        raise ValueError(f"{path} is damaged or of another version of this program ({error}); put "
                         f"it back from a copy, or use that one") from None
