"""The folder of one experiment: its config lies beside its results, and nobody else's go there."""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deps_jax.common.files import sealed

CONFIG = "config.json"
_MEND = "put it back from a copy, or start anew in another --workdir"


def make(folder: Path) -> None:
    """Makes the folder if it is missing; ValueError if it is a file."""
    _refuse_file(Path(folder))
    Path(folder).mkdir(parents=True, exist_ok=True)


def check(folder: Path, config: dict, *, may_differ: tuple[str, ...] = (),
          meaning: Callable[[dict], dict] = dict) -> None:
    """Raises ValueError unless the folder is new or of the same experiment, without making it.

    The message names the first fields that differ. Arguments are as in `claim`.
    """
    _refuse_file(Path(folder))
    if not (Path(folder) / CONFIG).exists():
        return
    old = compared(understood(folder, meaning), may_differ=may_differ)
    now = compared(config, may_differ=may_differ, meaning=meaning)
    differing = sorted(name for name in old.keys() | now.keys()
                       if name not in old or name not in now or old[name] != now[name])
    if differing:
        shown = "; ".join(f"{name} is {old.get(name, 'absent')!r} there and "
                          f"{now.get(name, 'absent')!r} now" for name in differing[:3])
        raise ValueError(f"{folder} belongs to another experiment: {shown}; use another "
                         f"--workdir, or the same config to continue")


def compared(config: dict, *, may_differ: tuple[str, ...] = (),
             meaning: Callable[[dict], dict] = dict, **_: Any) -> dict:
    """What must be the same wherever the experiment goes on; arguments are as in `claim`.

    Returns:
      Plain values by dotted name.
    """
    flat = flatten(json.loads(json.dumps(meaning(config))))
    return {name: value for name, value in flat.items()
            if not any(name == m or name.startswith(m + ".") for m in may_differ)}


def claim(folder: Path, config: dict, *, may_differ: tuple[str, ...] = (),
          meaning: Callable[[dict], dict] = dict,
          records: Mapping[str, Mapping] | None = None) -> None:
    """Makes the folder, or checks that it is of the same experiment.

    Args:
      config: Nested dict of plain values, kept as `config.json`.
      may_differ: Dotted fields or sections that may change when a run continues.
      meaning: Returns a config with all that it leaves to defaults filled in. These are compared,
        so a field that is new since the run was begun, or was written out then, does not count.
      records: What the experiment was made of, {file: content}, written once. The config is
        written last, so a folder that has one has them all, wherever the process was stopped.

    Raises:
      ValueError: If fields differ, the config is damaged or the folder is a file; the message names
        the first fields, or the file.
    """
    make(folder)
    check(folder, config, may_differ=may_differ, meaning=meaning)
    path = Path(folder) / CONFIG
    for name, content in (records or {}).items():
        if not (path.exists() and path.with_name(name).exists()):
            sealed.write(path.with_name(name), content, indent=None)
    sealed.write(path, config)


def read(folder: Path, name: str) -> dict | None:
    """What `claim` has written as a record; None in a run of an older version, which had none.

    Args:
      name: Name of its file.

    Raises:
      ValueError: If it is missing, damaged or was edited by hand.
    """
    path = Path(folder) / name
    if not path.exists() and not sealed.is_sealed(path.with_name(CONFIG)):
        return None
    return sealed.read(path, _MEND)


def load(folder: Path) -> dict:
    """The config of the experiment in a folder.

    Raises:
      ValueError: If there is none, or it is damaged or was edited by hand.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} holds no experiment (no {CONFIG}); give the --workdir of a "
                         f"training run")
    return sealed.read(path, _MEND)


def understood(folder: Path, build: Callable[[dict], Any]) -> Any:
    """What `build` makes of the config of the experiment in a folder.

    Raises:
      ValueError: If `load` or `build` raises one; the message names the file.
    """
    config = load(folder)
    try:
        return build(config)
    except ValueError as error:
        raise ValueError(f"{Path(folder) / CONFIG} is of another version of this program, or of a "
                         f"run of another kind ({error}); open it with what has written it, or "
                         f"give another --workdir") from error


def flatten(config: dict, prefix: str = "") -> dict:
    """A nested dict as a flat one with dotted names: {"a": {"b": 1}} becomes {"a.b": 1}."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _refuse_file(folder: Path) -> None:
    if folder.is_file():
        raise ValueError(f"--workdir {folder} is a file; give a folder")
