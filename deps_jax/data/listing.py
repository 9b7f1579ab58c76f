"""What a data set is, without reading it all: files and sizes, version, numbers of examples."""
from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from deps_jax.common.command.few import few
from deps_jax.data.folder import image_names
from deps_jax.data.load import Data
from deps_jax.data.sources import tfds_builder


def listing(data: Data) -> dict:
    """{"files": {name: bytes}, "facts": {what: value}} of a data set, as plain values.

    Names are relative to `data.dir`, so the same data elsewhere has the same listing. Of a folder
    the files are its images, those of classes that `data.classes` leaves out, too; of a data set
    of tensorflow-datasets all of its version; of both, pixels are not read. Digits come with
    scikit-learn and are hashed.

    Raises:
      ValueError: If the data is not there.
    """
    if data.name == "digits":
        return {"files": {}, "facts": _digits()}
    if data.name == "folder":
        return {"files": _sizes(Path(data.dir), image_names(data.dir)), "facts": {}}
    return _tfds(data)


def check_same(now: Mapping, then: Mapping, where: str) -> None:
    """Raises ValueError, naming what has changed, unless both listings are of the same data.

    Args:
      now, then: What `listing` returns now, and what it returned when the run began.
      where: Where the data lies, for the message.
    """
    files, before = now["files"], then["files"]
    changes = [
        _some("added", files.keys() - before.keys()),
        _some("removed", before.keys() - files.keys()),
        _some("of another size", (name for name in files.keys() & before.keys()
                                  if files[name] != before[name])),
        *(f"{what} {then['facts'].get(what)} then and {now['facts'].get(what)} now"
          for what in sorted(now["facts"].keys() | then["facts"].keys())
          if now["facts"].get(what) != then["facts"].get(what))]
    if changes := [change for change in changes if change]:
        raise ValueError(f"the data in {where} has changed since the run began: "
                         f"{'; '.join(changes)}; put it back as it was, or train anew in another "
                         f"--workdir")


def _some(what: str, names: Iterable[str]) -> str:
    names = sorted(names)
    files = "1 file" if len(names) == 1 else f"{len(names)} files"
    return f"{files} {what} ({few(names)})" if names else ""


def _sizes(folder: Path, names: Iterable[str]) -> dict[str, int]:
    return {name: (folder / name).stat().st_size for name in names}


def _tfds(data: Data) -> dict:
    builder = tfds_builder(data.name, data.dir)
    place = Path(builder.data_dir)
    names = (path.name for path in sorted(place.iterdir()) if ".array_record" in path.name)
    counts = {f"examples of {part}": split.num_examples
              for part, split in sorted(builder.info.splits.items())}
    return {"files": _sizes(place, names), "facts": {"version": str(builder.version), **counts}}


def _digits() -> dict:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.ascontiguousarray(bunch.images, np.float64).tobytes()
    labels = np.ascontiguousarray(bunch.target, np.int64).tobytes()
    return {"images": len(bunch.target), "sha256": hashlib.sha256(pixels + labels).hexdigest()}
