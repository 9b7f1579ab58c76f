"""The folder of one experiment: its config lies beside its results, and nobody else's go there."""
from __future__ import annotations

import json
from pathlib import Path

CONFIG = "config.json"


def claim(folder: Path, config: dict, *, may_differ: tuple[str, ...] = ()) -> None:
    """Makes the folder, or checks that it is of the same experiment.

    Args:
      config: nested dict of plain values, kept as `config.json`.
      may_differ: dotted fields or sections that may change when a run continues.

    Raises:
      ValueError: naming the first fields that differ.
    """
    folder = Path(folder)
    path = folder / CONFIG
    new = json.loads(json.dumps(config))
    if path.exists():
        differing = [name for name in _differences(load(folder), new)
                     if not any(name == m or name.startswith(m + ".") for m in may_differ)]
        if differing:
            old, now = flatten(load(folder)), flatten(new)
            shown = "; ".join(f"{name} is {old.get(name, 'absent')!r} there and "
                              f"{now.get(name, 'absent')!r} now" for name in differing[:3])
            raise ValueError(f"{folder} belongs to another experiment: {shown}; use another "
                             f"--workdir, or the same config to continue")
    elif folder.is_file():
        raise ValueError(f"--workdir {folder} is a file; give a folder")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(new, indent=2) + "\n")


def load(folder: Path) -> dict:
    """The config of the experiment in a folder; ValueError when there is none."""
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} holds no experiment (no {CONFIG}); give the --workdir of a "
                         f"training run")
    return json.loads(path.read_text())


def flatten(config: dict, prefix: str = "") -> dict:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _differences(old: dict, new: dict) -> list[str]:
    old, new = flatten(old), flatten(new)
    return sorted(name for name in old.keys() | new.keys()
                  if name not in old or name not in new or old[name] != new[name])
