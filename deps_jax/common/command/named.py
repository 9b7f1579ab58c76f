"""A value by its name: one that we ship, or one of the user's own as "module:NAME"."""
from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def named(field: str, name: str, known: Mapping[str, T], kind: type[T]) -> T:
    """The value that `name` stands for.

    Args:
      field: of the config, for messages.
      name: a key of `known`, or "module:NAME" of a module that can be imported.
      known: what we ship.
      kind: what a value of the user's own must be.

    Raises:
      ValueError: naming what is known, or why the user's own value cannot be had.
    """
    if name in known:
        return known[name]
    if ":" not in name:
        raise ValueError(f"{field} {name!r} is unknown; use one of {tuple(known)}, or "
                         f"'module:NAME' of one of your own")
    try:
        value = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{field} {name!r} cannot be imported: {error}; write 'module:NAME' of a "
                         f"module in this folder or in PYTHONPATH") from error
    if not isinstance(value, kind):
        raise ValueError(f"{field} {name!r} is a {type(value).__name__}, not a {kind.__name__}; "
                         f"name a value of that kind")
    return value
