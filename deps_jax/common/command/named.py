"""A value by its name: one that we ship, or one of the user's own as "module:NAME"."""
from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def named(field: str, name: str, known: Mapping[str, T], kind: type[T]) -> T:
    """The value that `name` stands for.

    Args:
      field: Field of the config that holds the name, for messages.
      name: A key of `known`, or "module:NAME" of a module that can be imported.
      known: The values that we ship, by name.
      kind: Class that a value of the user's own must be an instance of.

    Raises:
      ValueError: If there is no such value; the message names those that are known, or says why
        the user's own cannot be had.
    """
    if not isinstance(name, str):
        raise ValueError(f"{field} {name!r:.80} is not a name; use one of {tuple(known)}")
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
