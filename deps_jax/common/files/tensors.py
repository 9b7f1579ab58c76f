"""Tensors by name out of files: .npz and PyTorch checkpoints.

PyTorch is not needed, and no code out of a pickle is run.
"""
from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

_STORAGE_DTYPES = {
    "FloatStorage": np.float32, "DoubleStorage": np.float64, "HalfStorage": np.float16,
    "LongStorage": np.int64, "IntStorage": np.int32, "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")  # operations of pickle


def load_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Tensors by name from an .npz file or a zipped PyTorch checkpoint (.pth, .pt, .pth.tar).

    A checkpoint's pickle is read by an unpickler that can only rebuild tensors and plain
    containers, so opening a file never runs code from it. No tensor takes more memory than the file
    has bytes: what is compressed, which torch.save never writes, and a tensor of more values than
    its data are refused. A dict under "state_dict" is unwrapped.

    Raises:
      ValueError: If the file is missing or neither of them, or its pickle asks for anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is not a file; give an .npz or a PyTorch checkpoint")
    if path.suffix == ".npz" and not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is damaged, it is not the archive that an .npz is; copy it again")
    try:
        return _read_npz(path) if path.suffix == ".npz" else _read_checkpoint(path)
    except _Refused as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # zipfile, pickle and NumPy raise all kinds on damaged bytes
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error!s:.100}); copy it "
                         f"again") from error


class _Refused(ValueError):
    """A whole file that holds something else; the message says what to do."""


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        tensors = {name: arrays[name] for name in arrays.files}
    for name, value in tensors.items():  # NumPy gives what it does not know as bytes
        if not isinstance(value, np.ndarray):
            raise ValueError(f"{name} is no array")
    return tensors


def _read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(path):
        raise _Refused(f"{path} is not an .npz or a zipped PyTorch checkpoint (torch >= 1.6); "
                         f"save it again with a current torch.save")
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(names) != 1:
            raise _Refused(f"{path} holds no PyTorch state dict; it needs one data.pkl inside")
        folder = names[0][: -len("data.pkl")]
        pickled = archive.read(_stored(archive, names[0]))
        _check_memo(pickled)
        content = _TensorUnpickler(io.BytesIO(pickled), archive, folder).load()
    if not isinstance(content, dict):
        raise _Refused(f"{path} holds a {type(content).__name__}, not a state dict; save "
                         f"model.state_dict()")
    content = content.get("state_dict", content)
    return {name: value for name, value in content.items() if isinstance(value, np.ndarray)}


def _stored(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """A part of the file as it stands there: a compressed one may be a thousand times as large."""
    part = archive.getinfo(name)
    if part.compress_type != zipfile.ZIP_STORED:
        raise _Refused(f"{archive.filename} holds {name} compressed, which torch.save does not "
                       f"write; save it again with torch.save")
    return part


def _check_memo(pickled: bytes) -> None:
    """Raises ValueError for a memo that is larger than what is pickled could ever fill.

    pickle makes a list as long as the largest number that is put into it: of four changed bytes, 64
    gigabytes.
    """
    for operation, number, _ in pickletools.genops(pickled):
        if operation.name in _PUTS and number > len(pickled):
            raise ValueError(f"it puts value {number} into a memo, and has {len(pickled)} bytes")


class _TensorUnpickler(pickle.Unpickler):
    """Rebuilds tensors as arrays; every other global is refused by name."""

    def __init__(self, file: IO[bytes], archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Callable:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        raise _Refused(f"the checkpoint asks for {module}.{name}, which is not a tensor; save a "
                         f"plain state dict of tensors instead")

    def persistent_load(self, identity: tuple[str, type[np.generic], str, str, int]) -> np.ndarray:
        _, dtype, key, _, count = identity
        part, size = _stored(self._archive, f"{self._folder}data/{key}"), np.dtype(dtype).itemsize
        if part.file_size != count * size:
            raise ValueError(f"{part.filename} has {part.file_size} bytes for {count} values")
        with self._archive.open(part) as storage:
            return np.frombuffer(storage.read(part.file_size), dtype)


def _rebuild_tensor(storage: np.ndarray, offset: int, shape: tuple[int, ...],
                    strides: tuple[int, ...], *_: object) -> np.ndarray:
    if math.prod(shape) > storage.size:  # by a step of 0, a few bytes are any number of values
        raise ValueError("a tensor has more values than its data")
    # NumPy would read and write outside of the storage.
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or (0 not in shape and last >= storage.size):
        raise ValueError("a tensor lies outside of its data")
    strides = tuple(step * storage.itemsize for step in strides)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides).copy()
