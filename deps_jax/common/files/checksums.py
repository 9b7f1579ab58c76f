"""A list of files with their SHA-256, in the format of `sha256sum`; `sha256sum -c` checks it."""
from __future__ import annotations

import hashlib
import re
from pathlib import Path

from deps_jax.common.files import sealed

LIST = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^\0]+)")  # no name of a file holds a NUL


def write(folder: Path, hashes: dict[str, str]) -> None:
    """Writes {name relative to the folder: SHA-256} as the folder's list."""
    sealed.replace(folder / LIST, "".join(
        f"{value}  {name}\n" for name, value in sorted(hashes.items())))


def read(folder: Path) -> dict[str, str] | None:
    """What `write` wrote, {name: SHA-256}; None without a list.

    Raises:
      ValueError: If the list is damaged or cut off; the message does not name the folder.
    """
    try:
        text = (folder / LIST).read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return None
    hashes = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if not match:
            raise ValueError(f"{LIST} is damaged")
        hashes[match[2]] = match[1]
    if not text.endswith("\n"):
        raise ValueError(f"{LIST} is cut off")
    return hashes


def of_files(folder: Path) -> dict[str, str]:
    """{name: SHA-256} of every file below a folder, except the list itself."""
    return {path.relative_to(folder).as_posix(): of_file(path)
            for path in folder.rglob("*") if path.is_file() and path != folder / LIST}


def of_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(folder: Path, own: str | None = None) -> str:
    """What is wrong with the list of a folder or the first damaged file in it; "" if all is whole.

    Args:
      own: SHA-256 of the list itself, where it is known.
    """
    try:
        hashes = read(folder)
    except ValueError as error:
        return str(error)
    if not hashes:
        return f"{LIST} is missing" if hashes is None else f"{LIST} is empty"
    own_first = [(LIST, own)] if own else []
    for name, expected in [*own_first, *hashes.items()]:
        try:
            found = of_file(folder / name)
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
        if found != expected:
            return f"{name} is not what was written"
    return ""
