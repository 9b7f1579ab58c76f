"""The settings that a program is made of, as text: equal texts mean equal settings."""
from __future__ import annotations

import dataclasses
import enum
import hashlib
import inspect
import os
import sys
import types
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

_OWN = ("deps_jax", "nurture_jax")


class Undescribed(TypeError):
    """Raised for a value of which it is not known what it is made of."""


def described(value: Any) -> str:
    """What a value is made of, the same in every process.

    Args:
      value: Plain values, arrays, dtypes, enums, mappings, sequences, dataclasses, classes,
        functions, partial functions, and all that is made of them. Functions and classes stand
        there by their names, with what functions close over; those of a user's own with the
        sources in their folder.

    Raises:
      Undescribed: If it holds anything else.
    """
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return f"{type(value).__name__}:{value!r}"
    if isinstance(value, (np.dtype, enum.Enum)):
        return f"{type(value).__qualname__}:{value}"
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        array = np.asarray(value)
        return f"array:{array.dtype}{array.shape}{hashlib.sha256(array.tobytes()).hexdigest()}"
    if isinstance(value, Mapping):
        parts = [f"{described(key)}={described(part)}" for key, part in value.items()]
        return f"{type(value).__qualname__}({';'.join(sorted(parts))})"
    if isinstance(value, (set, frozenset)):
        return f"set({';'.join(sorted(map(described, value)))})"
    if isinstance(value, (tuple, list)):
        return f"{_named(type(value))}({';'.join(map(described, value))})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _named(type(value)) + described(_fields(value))
    if isinstance(value, partial):
        return f"partial{described((value.func, value.args, value.keywords))}"
    if isinstance(value, types.MethodType):
        return f"method{described((value.__func__, value.__self__))}"
    if isinstance(value, types.FunctionType):
        closed = [cell.cell_contents for cell in value.__closure__ or ()]
        # Lambdas of one place share a name.
        return _named(value) + described((closed, value.__defaults__, value.__kwdefaults__,
                                          _code(value.__code__)))
    if isinstance(value, (type, types.BuiltinFunctionType, np.ufunc)):
        return _named(value)
    raise Undescribed(f"a {type(value).__qualname__} cannot be described")


def _code(code: types.CodeType) -> tuple:
    """What a function does, and where it stands in its source."""
    constants = [_code(one) if isinstance(one, types.CodeType) else repr(one)
                 for one in code.co_consts]
    return code.co_firstlineno, code.co_code, code.co_names, constants


def _fields(value: Any) -> dict[str, Any]:
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    # A Linen module also has where it hangs, which no settings depend on.
    return {name: part for name, part in fields.items()
            if "parent" not in fields or name not in ("parent", "name")}


def _named(value: Any) -> str:
    """The name of a function or class, and the state of the sources that it may depend on."""
    module = getattr(value, "__module__", None) or type(value).__module__
    name = getattr(value, "__qualname__", None) or value.__name__
    return f"{module}.{name}{_sources_beside(module)}"


@cache
def _sources_beside(module: str) -> str:
    """A digest of the loaded sources in the folder of a user's module; "" of installed ones."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if module.partition(".")[0] in _OWN or not file or _is_installed(file):
        return ""
    folder = os.path.dirname(file)
    loaded = {other for one in list(sys.modules.values())
              if isinstance(other := getattr(one, "__file__", None), str)
              and other.startswith(folder + os.sep) and other.endswith(".py")}
    return digest_of([Path(path) for path in sorted(loaded) if not _is_installed(path)],
                     Path(folder))


def _is_installed(file: str) -> bool:
    """Whether a source is part of an installation, of which the version tells what it is."""
    folders = (sys.prefix, sys.base_prefix)
    return "site-packages" in file or any(file.startswith(folder + os.sep) for folder in folders)


@cache
def own_sources() -> str:
    """A digest of all sources of this project, Python and C++."""
    root = Path(inspect.getfile(inspect.currentframe())).resolve().parents[3]
    paths = [path for package in _OWN for pattern in ("*.py", "*.cc", "*.h")
             for path in (root / package).rglob(pattern)]
    return digest_of(sorted(paths), root)


def digest_of(paths: list[Path], root: Path) -> str:
    """A digest of files, with their places below `root`."""
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.relative_to(root)}\0".encode())
        total.update(path.read_bytes() + b"\0")
    return total.hexdigest()
