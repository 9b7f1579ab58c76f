"""Files and folders that a command is asked to write, refused before there is anything to write."""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def output_file(flag: str, name: str, endings: Sequence[str] = ()) -> Path:
    """The path of a file to be written, refused before there is anything to write.

    Args:
      flag: Name of the flag that gave the file, for messages.
      name: What the flag holds.
      endings: Endings that the name may have, such as ".png"; () allows any.

    Raises:
      ValueError: If the name has another ending or is that of a folder, or the file cannot be
        written there.
    """
    path = Path(name)
    if endings and path.suffix.lower() not in endings:
        raise ValueError(f"--{flag} {name} does not end with {' or '.join(endings)}; give a name "
                         f"that does")
    if path.is_dir():
        raise ValueError(f"--{flag} {name} is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"--{flag} {name}: there is no folder {path.parent}; make it, or give "
                         f"another name")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ValueError(f"--{flag} {name} may not be written; give another name")
    return path


def output_folder(flag: str, name: str) -> Path:
    """The path of a folder to be written, refused before there is anything to write.

    Args:
      flag: Name of the flag that gave the folder, for messages.
      name: What the flag holds.

    Raises:
      ValueError: If it is a file, lies in one, or may not be written.
    """
    path = Path(name)
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not there.is_dir():
        raise ValueError(f"--{flag} {name}: {there} is a file; give a folder")
    if not os.access(there, os.W_OK):
        raise ValueError(f"--{flag} {name}: {there} may not be written; give another folder")
    return path
