"""Compiled programs, kept on disk by what they are made of.

JAX's own cache of compiled programs is asked by what was traced and lowered, which takes a
supernet ten seconds. Here a program is found by what it would be traced from: settings, shapes, the
sources of this project, versions, options and the machine. What is found is ready to run.
"""
from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pickle
import threading
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable

from deps_jax.common.compiled import cpp
from deps_jax.common.compiled.described import described, own_sources
from deps_jax.common.compiled.machine import cores, processor
from deps_jax.common.files import sealed

FOLDER, ENDING, SECONDS = "programs", ".program", "seconds.json"
OFF = "DEPS_JAX_NO_PROGRAMS"  # in the environment: keep and read none
KEPT = 64  # programs in the folder; the one used longest ago goes first
_REMEMBERED = 1000  # programs whose seconds are remembered
_VERSIONS = ("jax", "jaxlib", "flax", "optax", "numpy")
_VARIABLES = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", cpp.OFF)
# Options of JAX that change no program: where files go, and what is told.
_SILENT = ("cache", "log", "dump", "traceback", "hlo_source", "pprint", "_dir")
Shapes = Any  # a pytree of arrays or of jax.ShapeDtypeStruct


@dataclasses.dataclass(frozen=True)
class Program:
    """What a program is traced from, beside the shapes of its arguments.

    Attributes:
      made_of: Values that `described.described` takes.
    """

    made_of: tuple

    def settings(self, arguments: tuple[Shapes, ...]) -> str | None:
        """A digest of what it is made of, whatever the machine and the versions of sources.

        None where it cannot be told.
        """
        leaves, structure = jax.tree.flatten(arguments)
        shapes = [f"{leaf.shape}{leaf.dtype}" for leaf in leaves]
        try:
            return _digest(described(self.made_of), str(structure), *shapes)
        except (TypeError, ValueError, RecursionError):  # `Undescribed` is a TypeError
            return None


def key_of(settings: str | None, devices: Sequence[jax.Device]) -> str | None:
    """The name under which a program is kept: of `Program.settings`, on these devices."""
    if settings is None:
        return None
    # An attribute also knows what a context has set.
    options = {name: getattr(jax.config, name, value) for name, value in jax.config.values.items()
               if not any(part in name for part in _SILENT)}
    return _digest(
        settings, own_sources(), str({name: version(name) for name in _VERSIONS}),
        str({name: os.environ.get(name) for name in _VARIABLES}), str(sorted(options.items())),
        processor() if devices[0].platform == "cpu" else "", str(cores()),
        devices[0].client.platform_version,
        *(f"{one.platform} {one.device_kind} {one.id}" for one in devices))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_kept(key: str | None) -> bool:
    """Whether there is such a program; it may be damaged."""
    return (path := _path(key)) is not None and os.path.exists(path)


def load(key: str | None, devices: Sequence[jax.Device]) -> jax.stages.Compiled | None:
    """A kept program, ready to run; None where there is none that can be used."""
    if not is_kept(key):
        return None
    path = _path(key)
    try:
        checksum, content = (whole := path.read_bytes())[:32], memoryview(whole)[32:]
        if hashlib.sha256(content).digest() != checksum:
            raise ValueError("damaged")
        kept = pickle.loads(content)
        # A program calls C++ by its name, or was made where there was no compiler.
        if any(cpp.load(library) != was for library, was in kept["libraries"].items()):
            return None
        compiled = serialize_executable.deserialize_and_load(
            kept["program"], jax.tree.structure(kept["arguments"]),
            jax.tree.structure(kept["results"]), execution_devices=devices)
        os.utime(path)
        return compiled
    except Exception:  # pickle and XLA raise all kinds; what cannot be used is compiled anew
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def compiled_or_read(lowered: jax.stages.Lowered) -> tuple[jax.stages.Compiled, bool]:
    """Compiles a program. Returns it, and whether JAX had it in its own cache, as after an edit.

    Such a program runs, but must not be kept: what XLA writes of a program that it has read lacks
    the compiled functions, and fails when it is run ("Function ... not found", jaxlib 0.10.2).
    """
    _listen()
    before = getattr(_here, "hits", 0)
    compiled = lowered.compile()
    return compiled, getattr(_here, "hits", 0) > before


_here = threading.local()  # programs are compiled in several threads


@cache
def _listen() -> None:
    """Counts, by thread, what JAX finds in its own cache."""
    def count(event: str, **_: str) -> None:
        if event == "/jax/compilation_cache/cache_hits":
            _here.hits = getattr(_here, "hits", 0) + 1

    jax.monitoring.register_event_listener(count)


def keep(key: str | None, settings: str | None, compiled: jax.stages.Compiled, taken_s: float,
         read: bool) -> None:
    """Keeps a program and the seconds that it took to trace and compile, if they can be kept.

    Args:
      read: Whether JAX had it in its own cache; then it is not kept, see `compiled_or_read`, nor
        are the seconds, which say nothing of compiling.
    """
    if not read:
        note_seconds(settings, taken_s)
        _save(key, compiled)


def _save(key: str | None, compiled: jax.stages.Compiled) -> None:
    """Keeps a program; the one used longest ago makes room."""
    if (path := _path(key)) is None:
        return
    try:
        program, arguments, results = serialize_executable.serialize(compiled)
        numbers = lambda structure: structure.unflatten(range(structure.num_leaves))
        content = pickle.dumps({"program": program, "arguments": numbers(arguments),
                                "results": numbers(results), "libraries": cpp.asked()})
        path.parent.mkdir(parents=True, exist_ok=True)
        sealed.replace(path, hashlib.sha256(content).digest() + content)
        # The new one is kept whatever the clock says: others may be of a time that is to come.
        others = set(path.parent.glob(f"*{ENDING}")) - {path}
        by_use = sorted(others, key=lambda one: one.stat().st_mtime)
        for old in by_use[:max(len(by_use) + 1 - KEPT, 0)]:
            old.unlink()
    except Exception:  # a cache that cannot be written, or a program that XLA does not write
        return


def seconds(settings: str | None) -> float | None:
    """The seconds that it took to trace and compile a program when that was last done."""
    return _all_seconds().get(settings)


def note_seconds(settings: str | None, taken: float) -> None:
    """Remembers how long it took to trace and compile a program."""
    if settings is None or (folder := _folder()) is None:
        return
    latest = {**_all_seconds(), settings: round(taken, 1)}
    with contextlib.suppress(OSError, sealed.FullDisk):
        folder.mkdir(parents=True, exist_ok=True)
        sealed.replace(folder / SECONDS, json.dumps(dict([*latest.items()][-_REMEMBERED:])))


def _all_seconds() -> dict[str, float]:
    folder = _folder()
    try:
        found = json.loads((folder / SECONDS).read_text()) if folder else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _folder() -> Path | None:
    folder = jax.config.jax_compilation_cache_dir
    off = os.environ.get(OFF) or not jax.config.jax_enable_compilation_cache
    return None if off or not folder or "://" in folder else Path(folder) / FOLDER


def _path(key: str | None) -> Path | None:
    """The file of a program; None where nothing is kept."""
    folder = _folder()
    return None if folder is None or key is None else folder / (key + ENDING)
