"""A search space as plain values, for JSON, and back; forms of blocks of one's own included."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from deps_jax.common.command.settings import build_settings
from deps_jax.space.block import BlockForm
from deps_jax.space.rows import Activation, Conv, Gate, MaxPool, Row, Shortcut, Width
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
      ValueError: If the values are of another version (a field that has no default is missing, or
        there is one that this version does not know), or damaged; the message names the first.
    """
    stages = tuple(_stage(stage, f"stage {s}") for s, stage in enumerate(
        _listed(values, "stages", "space")))
    return build_settings(SearchSpace, {**values, "stages": stages}, "space")


def _fields(value: SearchSpace | Stage) -> dict:
    """The fields of a dataclass by name, with tuples as lists."""
    found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {name: list(part) if isinstance(part, tuple) else part for name, part in found.items()}


def _form_to_plain(form: BlockForm) -> dict:
    return {"name": form.name, "expansion": form.expansion,
            "widths": [dataclasses.asdict(width) for width in form.widths],
            "rows": [{"kind": _NAMES[type(row)], **dataclasses.asdict(row)} for row in form.rows]}


def _stage(values: Any, name: str) -> Stage:
    if isinstance(values, Mapping) and "block" in values:  # one that earlier versions did not write
        values = {**values, "block": _form(values["block"], f"{name}: block")}
    return build_settings(Stage, values, name)


def _form(values: Any, name: str) -> BlockForm:
    rows = tuple(_row(row, f"{name}: row") for row in _listed(values, "rows", name))
    widths = tuple(build_settings(Width, width, f"{name}: width")
                   for width in _listed(values, "widths", name))
    return build_settings(BlockForm, {**values, "rows": rows, "widths": widths}, name)


def _row(values: Any, name: str) -> Row:
    kind = values.get("kind") if isinstance(values, Mapping) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"{name} is of the kind {kind!r}; known are {', '.join(_KINDS)}")
    return build_settings(_KINDS[kind], {
        field: value for field, value in values.items() if field != "kind"}, name)


def _listed(values: Any, field: str, name: str) -> list:
    found = values.get(field) if isinstance(values, Mapping) else None
    if not isinstance(found, list | tuple):
        raise ValueError(f"{name} has no list of {field}; give it one")
    return found
