"""From the plain values of a config to frozen dataclasses, with errors that name the field."""
from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
import types
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_WORDS = {float: "a number", int: "a whole number", bool: "True or False", str: "text",
          types.NoneType: "nothing"}


def build_settings(cls: type[T], values: Mapping[str, Any] | T, name: str = "config", *,
                   finite: bool = True) -> T:
    """A frozen dataclass from a dict; lists become tuples.

    Values are compared with the types of the fields, so that what a file holds in a wrong place is
    told by its name and not by what fails later.

    Args:
      cls: The dataclass.
      values: Values of its fields by name; a dataclass is returned as it is.
      name: Name of the section of the config, for messages.
      finite: Whether numbers must be neither nan nor infinite.

    Raises:
      ValueError: If a field is unknown, missing or of another type; the message names the first.
    """
    if dataclasses.is_dataclass(values):
        return values
    if not isinstance(values, Mapping):
        raise ValueError(f"{name} is {_shown(values)}, not fields by name; give it some")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if unknown := [key for key in values if key not in fields]:
        key, others = unknown[0], len(unknown) - 1
        close = difflib.get_close_matches(key, fields, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {sorted(fields)}"
        if others > 1:
            hint = f"is it of another command or kind? {hint.capitalize()}"
        more = f" nor {others} others that are given" if others > 1 else ""
        raise ValueError(f"{name} has no field {key!r}{more}; {hint}")
    for key, field in fields.items():
        required = (field.default is dataclasses.MISSING
                    and field.default_factory is dataclasses.MISSING)
        if required and key not in values:
            raise ValueError(f"{name}.{key} is not set; give it a value")
    for key, kind in _kinds(cls).items():
        if key in values and not _fits(values[key], kind, finite):
            raise ValueError(f"{name}.{key} is {_shown(values[key])}; give it {_words(kind)}")
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
    if not isinstance(config, Mapping):
        raise ValueError(f"the config is {_shown(config)}, not sections by name; give it some")
    kinds = _kinds(cls)
    return build_settings(cls, {
        name: build_settings(kinds[name], value, name)
        if dataclasses.is_dataclass(kinds.get(name)) else value
        for name, value in config.items()})


@lru_cache
def _kinds(cls: type) -> dict[str, Any]:
    """The types of the fields of a dataclass by name."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _fits(value: object, kind: Any, finite: bool) -> bool:
    """Whether a value may stand in a field of a type; a list does for a tuple."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each, finite) for each in inside)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        inside = inside[:1] * len(value) if inside[-1:] == (...,) else inside
        return len(inside) == len(value) and all(
            _fits(part, each, finite) for part, each in zip(value, inside, strict=True))
    if kind is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and (
            not finite or math.isfinite(value))
    if kind is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if origin in (Callable, Mapping, dict, list):
        return isinstance(value, origin)
    return not isinstance(kind, type) or isinstance(value, kind)


def _words(kind: Any) -> str:
    """A type in words, for messages."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(map(_words, inside))
    if origin is tuple:
        return (f"a list, each {_words(inside[0])}" if inside[-1:] == (...,)
                else f"a list of {len(inside)}: {', '.join(map(_words, inside))}")
    if origin is not None:
        return "a list" if origin is list else "fields by name"
    return _WORDS.get(kind, f"a {getattr(kind, '__name__', kind)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
