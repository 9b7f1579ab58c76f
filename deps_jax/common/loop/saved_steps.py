"""Numbered folders of a run, each written as one and compared with its hashes before it is used.

    FOLDER/STEP/meta.json     what the step is of
    FOLDER/STEP/SHA256SUMS    of all files of the step
    FOLDER/SHA256SUMS         of the lists of the steps that must be there

A step is written under another name and renamed when it is whole. What is damaged is told, and the
newest step that is whole is used. Steps of earlier versions have no list (and `meta/metadata`);
that they cannot be verified is told, too.
"""
from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from deps_jax.common.files import checksums
from deps_jax.common.files.sealed import replace, tell, told_if_full

FORMAT = 2  # raise it when older versions of this program would read a step wrongly
META, OLD_META = "meta.json", "meta/metadata"


@dataclasses.dataclass(frozen=True)
class Step:
    """A step that is whole.

    Attributes:
      step: Its number.
      folder: Its folder.
      meta: The plain values that `Steps.put` was given, with "format" and "step" beside them.
      verified: Whether it was compared with its hashes; False for one of an earlier version, which
        has none.
    """

    step: int
    folder: Path
    meta: dict
    verified: bool


class Steps:
    """The newest steps of a run.

    Reading creates and deletes nothing, and may be done while another process writes. Only one
    process may write, see `locks.training`.

    Args:
      folder: Folder of the steps, made by the first one.
      keep: Number of steps to keep, two or more: the older one is there for when the newer is
        damaged.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        assert keep >= 2
        self.folder, self.keep = Path(folder).absolute(), keep
        self._found: Step | None = None
        self._refused: dict[int, str] = {}
        self._told: set[str] = set()

    def newest(self) -> Step | None:
        """The newest whole step, looked for once; None if there never was any.

        Raises:
          ValueError: If there are steps and none is whole, or one is of a newer version of this
            program.
        """
        while self._found is None:
            listed, damaged, found = self._listed(), {}, None
            for step in sorted(listed.keys() | self._there(), reverse=True):
                found = self._examine(step, listed.get(step))
                if isinstance(found, Step):
                    break
                damaged[step], found = found, None
            if listed != self._listed():
                continue  # another process has written meanwhile
            if found is None and not damaged:
                return None
            self._tell(damaged, found)
            self._found = found
        return self._found

    def any(self) -> bool:
        """Whether something was ever saved, whole or not."""
        return bool(self._there() or self._listed())

    def forget(self) -> None:
        """Looks for the newest step anew, as another process may have written one."""
        self._found = None

    def refuse(self, step: int, why: str) -> None:
        """Leaves a step out from now on, as only its reader could see that it is damaged."""
        if (self.folder / str(step)).is_dir():  # else another process has replaced it meanwhile
            self._refused[step] = why
        self._found = None

    def put(self, step: int, meta: dict, write: Callable[[Path], None]) -> None:
        """Writes a step, in place of damaged and later ones; then drops what is not kept.

        Args:
          meta: Plain values that go into its `meta.json`.
          write: Writes all else into the empty folder that it is given.

        Raises:
          FullDisk: If the disk is full; the steps that were there stay.
        """
        latest = self.newest()
        kept = f"step {latest.step} is kept" if latest else "nothing was saved before"
        part, meta = self.folder / f"{step}.part", {"format": FORMAT, "step": step, **meta}
        with told_if_full(self.folder, f"so step {step} was not saved; {kept}"):
            try:
                shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
                part.mkdir(parents=True)
                write(part)
                replace(part / META, json.dumps(meta) + "\n")
                checksums.write(part, checksums.of_files(part))
                self._rename(part, step, latest.step if latest else -1)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
        self._found = Step(step, self.folder / str(step), meta, verified=True)

    def _rename(self, part: Path, step: int, whole: int) -> None:
        """Gives what was written its name, and drops what is not kept or later than `whole`.

        The list of the folder never names what is not there: it is shortened before a step goes,
        and lengthened after one has come.
        """
        earlier = sorted(other for other in self._there() if other <= whole and other < step)
        kept = set(earlier[len(earlier) - self.keep + 1:])
        listed = {other: value for other, value in self._listed().items() if other in kept}
        self._list(listed)
        for other in self._there():
            if other >= step:
                _remove(self.folder / str(other))
        part.rename(self.folder / str(step))
        self._list({**listed, step: checksums.of_file(self.folder / str(step) / checksums.LIST)})
        for other in self._there() - kept - {step}:
            _remove(self.folder / str(other))

    def _there(self) -> set[int]:
        if not self.folder.is_dir():
            return set()
        return {int(path.name) for path in self.folder.iterdir()
                if path.name.isdecimal() and path.is_dir()}

    def _listed(self) -> dict[int, str]:
        """{step: SHA-256 of its list} of the steps that must be there."""
        try:
            hashes = checksums.read(self.folder) or {}
            return {int(name.removesuffix(f"/{checksums.LIST}")): value
                    for name, value in hashes.items()}
        except ValueError:
            self._tell_once(f"{self.folder / checksums.LIST} is damaged, so whether a step is "
                            f"missing cannot be told")
            return {}

    def _list(self, listed: dict[int, str]) -> None:
        checksums.write(self.folder, {f"{step}/{checksums.LIST}": value
                                      for step, value in listed.items()})

    def _examine(self, step: int, listed: str | None) -> Step | str:
        """The step, or what is wrong with it."""
        folder = self.folder / str(step)
        if not folder.is_dir():
            return "its folder is missing"
        if step in self._refused:
            return self._refused[step]
        old = listed is None and not any(
            (folder / name).exists() for name in (META, checksums.LIST))
        if not old and (problem := checksums.damage(folder, listed)):
            return problem
        name = OLD_META if old else META
        try:
            meta = json.loads((folder / name).read_text())
        except FileNotFoundError:
            return f"{name if not old else checksums.LIST} is missing"
        except (OSError, ValueError) as error:
            return f"{name} cannot be read ({error})"
        if not isinstance(meta, dict):
            return f"{name} is not JSON with named fields"
        if meta.get("format", 1) > FORMAT:
            raise ValueError(f"{folder} was written by a newer version of this program (format "
                             f"{meta['format']}, this one reads {FORMAT}); update this program")
        if meta.get("step", step) != step:
            return f"it is step {meta['step']} under another name"
        return Step(step, folder, meta, verified=not old)

    def _tell(self, damaged: dict[int, str], found: Step | None) -> None:
        problems = "; ".join(f"step {step} is damaged: {problem}"
                             for step, problem in damaged.items())
        if found is None:
            raise ValueError(f"{self.folder} holds nothing that is whole ({problems}); put a step "
                             f"back from a copy, or start anew in another --workdir")
        if damaged:
            self._tell_once(f"in {self.folder}, {problems}; step {found.step} is used")
        if not found.verified:
            self._tell_once(f"step {found.step} in {self.folder} is of an older version: it has "
                            f"no hashes, so damage could not be seen")

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            tell(text)


def _remove(folder: Path) -> None:
    """Deletes a folder, renamed first: a process that reads finds all of it or nothing."""
    away = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(away, ignore_errors=True)
    os.rename(folder, away)
    shutil.rmtree(away, ignore_errors=True)
