"""A search space as plain values, for JSON, and back; forms of blocks of one's own included."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from deps_jax.space.block import BlockForm
from deps_jax.space.rows import Activation, Conv, Gate, MaxPool, Shortcut, Width
from deps_jax.space.search_space import SearchSpace, Stage

_KINDS = {"conv": Conv, "gate": Gate, "shortcut": Shortcut, "activation": Activation,
          "max_pool": MaxPool}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_plain(space: SearchSpace) -> dict:
    """The space as dicts, lists, numbers and text that JSON can hold."""
    return {**_fields(space), "stages": [
        {**_fields(stage), "block": _form_to_plain(stage.block)} for stage in space.stages]}


def from_plain(values: Mapping) -> SearchSpace:
    """The inverse of `to_plain`; fields that an earlier version did not write have their defaults.

    Raises:
      KeyError, TypeError: If the values are of another version: a field that has no default is
        missing, or there is one that this version does not know.
    """
    stages = tuple(
        Stage(**{name: _form(value) if name == "block" else _immutable(value)
                 for name, value in stage.items()}) for stage in values["stages"])
    return SearchSpace(**{**{name: _immutable(value) for name, value in values.items()},
                          "stages": stages})


def _fields(value: SearchSpace | Stage) -> dict:
    """The fields of a dataclass by name, with tuples as lists."""
    found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {name: list(part) if isinstance(part, tuple) else part for name, part in found.items()}


def _form_to_plain(form: BlockForm) -> dict:
    return {"name": form.name, "expansion": form.expansion,
            "widths": [dataclasses.asdict(width) for width in form.widths],
            "rows": [{"kind": _NAMES[type(row)], **dataclasses.asdict(row)} for row in form.rows]}


def _form(values: Mapping) -> BlockForm:
    rows = tuple(_KINDS[row["kind"]](**{name: value for name, value in row.items()
                                        if name != "kind"}) for row in values["rows"])
    return BlockForm(values["name"], rows, tuple(Width(**width) for width in values["widths"]),
                     values["expansion"])


def _immutable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
