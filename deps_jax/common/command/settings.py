"""From the plain values of a config to frozen dataclasses, with errors that name the field."""
from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")


def build_settings(cls: type[T], values: Mapping[str, Any] | T, name: str = "config") -> T:
    """A frozen dataclass from a dict; lists become tuples.

    Args:
      cls: The dataclass.
      values: Values of its fields by name; a dataclass is returned as it is.
      name: Name of the section of the config, for messages.

    Raises:
      ValueError: If a field is unknown or missing; the message names the first.
    """
    if dataclasses.is_dataclass(values):
        return values
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in values:
        if key not in fields:
            close = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {sorted(fields)}"
            raise ValueError(f"{name} has no field {key!r}; {hint}")
    for key, field in fields.items():
        required = (field.default is dataclasses.MISSING
                    and field.default_factory is dataclasses.MISSING)
        if required and key not in values:
            raise ValueError(f"{name}.{key} is not set; give it a value")
    return cls(**{key: tuple(value) if isinstance(value, list) else value
                  for key, value in values.items()})


def build_tree(cls: type[T], config: Mapping[str, Any]) -> T:
    """A frozen dataclass, some of whose fields are dataclasses, from a dict of dicts.

    Args:
      cls: The dataclass of the whole config.
      config: Values by name; a section, for a field that is a dataclass, is what `build_settings`
        takes.

    Raises:
      ValueError: As `build_settings`, of the first section in the order of the config.
    """
    kinds = get_type_hints(cls)
    return build_settings(cls, {
        name: build_settings(kinds[name], value, name)
        if dataclasses.is_dataclass(kinds.get(name)) else value
        for name, value in config.items()})
