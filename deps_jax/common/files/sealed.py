"""Files of a run that a command reads back: written whole, and refused when they have changed.

A record is a JSON object whose last field, "seal", holds the version of the layout and the
SHA-256 of all other fields. So a file tells of itself whether it is what was written, wherever it
is copied to, and there is no second file that a stopped process could leave out of step. White
space and the order of fields do not count.

A log is lines of JSON that are appended, each with the CRC-32 of its other fields.
"""
from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from deps_jax.common.files import one_writer

FORMAT = 1  # raise it when older versions of this program would read a record wrongly
SEAL, LINE_SEAL = "seal", "crc32"
_PIECE_BYTES = 1 << 16  # of the end of a log, read at once
# What begins a formula in Excel, LibreOffice and others, in their wide forms, too.
FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Blanks before them count for nothing, here those of Python and of JavaScript. Apostrophes do, so
# that one that is put there can be told from one of the text itself.
_FORMULA = re.compile(rf"'*[\s\x1c-\x1f\x85\ufeff]*[{re.escape(''.join(FORMULA_STARTS))}]")


class FullDisk(ValueError):
    """Raised when a disk is full, so that nothing more can be written."""


def write(path: Path, content: Mapping, *, indent: int | None = 2) -> None:
    """Writes a record, whole or not at all.

    Args:
      path: The file.
      content: Plain values, as JSON has them; tuples are read back as lists.
      indent: Spaces of indentation, see `json.dumps`; None writes one line, for long lists.

    Raises:
      FullDisk: If the disk is full; a record that was there before stays.
    """
    seal = {"format": FORMAT, "sha256": digest({**content, SEAL: FORMAT})}
    sealed = {**content, SEAL: seal}
    replace(path, json.dumps(sealed, indent=indent) + "\n")


def read(path: Path, mend: str) -> dict:
    """The fields of a record, without its seal.

    Records of older versions have no seal; for them a note says that changes cannot be seen.

    Args:
      path: The file.
      mend: What to do about a file that is missing or damaged, in the imperative, such as
        "evaluate the run again".

    Raises:
      ValueError: If the file is missing, damaged, edited by hand, or of a newer version; the
        message names it.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; {mend}") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged, it is no longer JSON ({error}); {mend}") from None
    return unseal(content, path, mend)


def unseal(content: object, path: Path, mend: str) -> dict:
    """The fields of a record without its seal; arguments and errors as in `read`.

    Args:
      content: What the JSON of the file says; its seal is taken out in place.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not JSON with named fields; {mend}")
    seal = content.pop(SEAL, None)
    if seal is None:
        tell(f"{path} was written by an older version, or its field {SEAL!r} was taken out: "
             f"whether it has changed since cannot be told")
        return content
    if not isinstance(seal, dict) or not isinstance(seal.get("format"), int):
        raise ValueError(f"{path} is damaged, its field {SEAL!r} is {seal!r}; {mend}")
    if seal.get("sha256") != digest({**content, SEAL: seal["format"]}):
        raise ValueError(f"{path} is damaged or was edited by hand, its content is not what was "
                         f"written; {mend} (to use it as it is, take its field {SEAL!r} out)")
    if seal["format"] > FORMAT:
        raise ValueError(f"{path} was written by a newer version of this program (format "
                         f"{seal['format']}, this one reads {FORMAT}); update this program")
    return content


def is_sealed(path: Path) -> bool:
    """Whether a file is a record of this or a later version, whole or not."""
    try:
        return f'"{SEAL}"' in path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False


def digest(content: Mapping | Sequence) -> str:
    """SHA-256 of plain values in hexadecimal digits, the same after a round trip through a file."""
    plain = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def finite(content: object) -> object:
    """Plain values as JSON has them, which has neither nan nor infinity: None stands for those.

    Args:
      content: Plain values, nested at will. Tuples become lists, and what names a field text.
    """
    if isinstance(content, Mapping):
        return {str(name): finite(part) for name, part in content.items()}
    if isinstance(content, list | tuple):
        return [finite(part) for part in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def rows(content: Sequence[Mapping], *, head: bool = True) -> str:
    """CSV text with a head line.

    Text that a spreadsheet would take for a formula has an apostrophe before it: it may come from
    other people's files. `text_of` takes it off again.

    Args:
      content: The rows. Columns are the fields of all of them, in the order in which they first
        come; a row without a field has an empty cell there.
      head: Whether there is a head line; False for rows that are added to others.
    """
    columns = dict.fromkeys(name for row in content for name in row)
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(columns), restval="")
    if head:
        table.writeheader()
    table.writerows({name: _cell(value) for name, value in row.items()} for row in content)
    return text.getvalue()


def text_of(cell: str) -> str:
    """The text that `rows` was given for a cell, without the apostrophe before a formula."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell, 1) else cell


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def line(content: Mapping) -> str:
    """One line of a log, with its checksum and its line end."""
    return json.dumps({**content, LINE_SEAL: _checksum(content)}) + "\n"


def append(path: Path, content: Mapping) -> None:
    """Adds one line to a log, in the place of one that a stopped process has left half written.

    Raises:
      FullDisk: If the disk is full; the lines before stay.
    """
    add(path, line(content))


def add(path: Path, text: str) -> None:
    """Adds whole lines to a file, all or none, in the place of one that was left half written.

    Several processes and threads may add to one file: one waits for the other (`one_writer`).
    Of what was there only the end is read: a log is long, and may lie on a slow drive. A last line
    that lacks its end alone, as editors leave it, stays.

    Args:
      text: The lines, JSON each, with their ends.

    Raises:
      FullDisk: If the disk is full; the file is as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with told_if_full(path), one_writer.log(path) as file:
        whole = _whole_lines(file)
        file.seek(whole)
        data, last = text.encode(), file.read()
        if _parsed(last.decode("utf-8", "replace")) is not None:
            whole, data = whole + len(last), b"\n" + data
        elif last:  # else nothing is cut off: without a lock another may have added since
            file.truncate(whole)
        _write_all(file, data, whole)


def _write_all(file: IO[bytes], data: bytes, size: int) -> None:
    """Adds to an unbuffered file of `size` bytes, or leaves it as it is."""
    try:
        left = memoryview(data)
        while left:  # a disk that fills takes a part first
            left = left[file.write(left):]
    except OSError:
        file.truncate(size)
        raise


def _whole_lines(file: IO[bytes]) -> int:
    """Number of bytes up to the end of the last whole line of a file."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(end - _PIECE_BYTES, 0)
        file.seek(start)
        if (found := file.read(end - start).rfind(b"\n")) >= 0:
            return start + found + 1
        end = start
    return 0


def read_lines(path: Path) -> list[dict]:
    """Contents of the whole lines of a log, in order; empty where there is none.

    A last line without its end is what a stopped process leaves, and is left out. Others that are
    damaged are left out, too, and that is told. Lines of older versions have no checksum.
    """
    path = Path(path)
    text = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
    whole, found, damaged = text.splitlines(keepends=True), [], []
    for number, row in enumerate(whole, 1):
        content = _parsed(row)
        if content is not None:
            found.append(content)
        elif row.endswith("\n") or number < len(whole):
            damaged.append(str(number))
    if damaged:
        shown = ", ".join(damaged[:3]) + (", ..." if len(damaged) > 3 else "")
        tell(f"{path} is damaged in {len(damaged)} of {len(whole)} lines ({shown}), they are left "
             f"out")
    return found


def replace(path: Path, content: str | bytes) -> None:
    """Writes a file so that it is at any time the old one or the new one, and whole.

    Where several write it at once, it is in the end that of the last of them.

    Raises:
      FullDisk: If the disk is full; the old file stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    with told_if_full(path), one_writer.part(path) as part:
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def growing(path: Path) -> Iterator[Callable[[str], None]]:
    """Writes a file that takes long: piece by piece into NAME.part, which is renamed when whole.

    A process that is stopped, or an error inside, leaves what was finished in NAME.part, until the
    file is written anew. Of its own name there is until the end what was there before.

    Yields:
      A function that adds text, all of it or none.

    Raises:
      FullDisk: If the disk is full; NAME.part keeps what was added before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_writer.part(path) as part:
        kept, size = f"what was finished is in {part}", 0

        def add(text: str) -> None:
            nonlocal size
            data = text.encode()
            with told_if_full(path, kept):
                _write_all(file, data, size)
            size += len(data)

        try:
            with part.open("wb", buffering=0) as file:
                yield add
                with told_if_full(path, kept):
                    os.fsync(file.fileno())
            part.replace(path)
        except BaseException as error:
            if not size:
                part.unlink(missing_ok=True)
            elif kept not in str(error):
                tell(f"{part} holds what was finished")
            raise


@contextlib.contextmanager
def told_if_full(path: Path, kept: str = "what was there before is kept") -> Iterator[None]:
    """Turns the error of a full disk, in whichever form, into a `FullDisk` of one sentence.

    Args:
      path: What was to be written, for the message.
      kept: What is not lost, for the message.
    """
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        raise FullDisk(f"the disk of {path} is full, {kept}; free some space and run the same "
                       f"command again") from error


def is_full(error: BaseException) -> bool:
    """Whether an error is of a full disk or quota; many libraries tell that in its text only."""
    full = (errno.ENOSPC, errno.EDQUOT)
    return (isinstance(error, FullDisk) or (isinstance(error, OSError) and error.errno in full)
            or any(f"os_error_code='{number}'" in str(error) or os.strerror(number) in str(error)
                   for number in full))


def tell(text: str) -> None:
    """Prints to stderr what a user should know without being stopped."""
    print(f"note: {text}", file=sys.stderr, flush=True)


def _parsed(row: str) -> dict | None:
    try:
        content = json.loads(row)
    except json.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    checksum = content.pop(LINE_SEAL, None)
    return content if checksum in (None, _checksum(content)) else None


def _checksum(content: Mapping) -> str:
    plain = json.loads(json.dumps(content))
    return f"{zlib.crc32(json.dumps(plain, sort_keys=True).encode()):08x}"
