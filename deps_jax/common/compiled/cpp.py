"""C++ that XLA calls on CPU: compiled where it is first needed, kept for later runs.

A library is compiled for the processor at hand, in some seconds, into `~/.cache/deps_jax`. Its
source speaks to XLA by the headers that come with jaxlib (docs.jax.dev/en/latest/ffi.html).
"""
from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache, cached_property
from pathlib import Path

import jax
import jaxlib

from deps_jax.common.compiled.machine import processor

COMPILERS = ("c++", "g++", "clang++")
OFF = "DEPS_JAX_NO_CPP"  # in the environment: compile and load nothing
_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-DNDEBUG")
_PATIENCE_S = 300


_LIBRARIES: dict[str, Library] = {}


def asked() -> dict[str, bool]:
    """Whether each library, by its name, was found usable; only those that were asked for."""
    return {name: library.is_loaded for name, library in _LIBRARIES.items()
            if library.is_loaded is not None}


def load(name: str) -> bool:
    """Whether the functions of a library can be called, see `Library.load`."""
    return name in _LIBRARIES and _LIBRARIES[name].load()


class Library:
    """Functions of a C++ file, as targets of `jax.ffi.ffi_call` on CPU.

    Args:
      source: The file.
      functions: Names of its handlers.
      instead: What happens without it, for messages.

    Attributes:
      is_loaded: Whether the functions can be called; None until that is asked for.
    """

    def __init__(self, source: Path, functions: tuple[str, ...], instead: str) -> None:
        self._source, self._functions, self._instead = source, functions, instead
        self.is_loaded: bool | None = None
        _LIBRARIES[source.stem] = self

    def load(self) -> bool:
        """Whether the functions can be called; compiles and loads them at the first call.

        Says once, on stderr, when they are compiled, or why they cannot be.
        """
        if self.is_loaded is None:
            self.is_loaded = not os.environ.get(OFF) and self._load()
        return self.is_loaded

    def target(self, function: str) -> str:
        """The name of a function for `jax.ffi.ffi_call`: another one for another source."""
        return f"{function}_{self._digest[:12]}"

    @cached_property
    def _digest(self) -> str:
        """Of the source and of all headers beside it."""
        files = [self._source, *sorted(self._source.parent.glob("*.h"))]
        return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()

    def _load(self) -> bool:
        compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX", ""), *COMPILERS))),
                        None)
        if compiler is None:
            return self._without(f"there is no C++ compiler ({', '.join(COMPILERS)}); install one")
        try:
            library = self._opened(compiler)
            for name in self._functions:
                jax.ffi.register_ffi_target(
                    self.target(name), jax.ffi.pycapsule(getattr(library, name)), platform="cpu")
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or "").strip().splitlines() or ["it said nothing"]
            return self._without(f"{compiler} did not compile {self._source.name} ({lines[0]})")
        except (AttributeError, OSError, RuntimeError, ValueError,
                subprocess.TimeoutExpired) as error:
            return self._without(f"{self._source.name} cannot be used ({error})")
        return True

    def _without(self, why: str) -> bool:
        print(f"{why}; until then {self._instead}", file=sys.stderr, flush=True)
        return False

    def _opened(self, compiler: str) -> ctypes.CDLL:
        """The library in this process; where the kept file is damaged, it is compiled again."""
        path = self._compiled(compiler)
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            path.unlink()
            return ctypes.CDLL(str(self._compiled(compiler)))

    def _compiled(self, compiler: str) -> Path:
        """The compiled library, out of the cache or made now.

        Raises:
          OSError: If there is no place for it.
          subprocess.CalledProcessError, subprocess.TimeoutExpired: If it cannot be compiled.
        """
        made_with = "\n".join([self._digest, _version(compiler), jaxlib.__version__, *_FLAGS,
                               processor()])
        name = f"{self._source.stem}-{hashlib.sha256(made_with.encode()).hexdigest()[:16]}.so"
        folder = _folder()
        if not (folder / name).exists():
            print(f"compiling {self._source.name} for this processor, once", file=sys.stderr,
                  flush=True)
            # Under a name of its own first: another process may do the same at the same time.
            with tempfile.TemporaryDirectory(dir=folder) as own:
                made = Path(own) / name
                _compile(compiler, self._source, made)
                os.replace(made, folder / name)
        return folder / name


def _compile(compiler: str, source: Path, made: Path) -> None:
    command = [compiler, *_FLAGS, "-isystem", jax.ffi.include_dir(), str(source), "-o", str(made)]
    run = lambda extra: subprocess.run([*command, *extra], check=True, capture_output=True,
                                       text=True, timeout=_PATIENCE_S)
    try:
        run(["-march=native"])
    except subprocess.CalledProcessError:  # a compiler may not know it
        run([])


@cache
def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True,
                          timeout=_PATIENCE_S).stdout


def _folder() -> Path:
    """The folder of compiled libraries, one of this process alone where none can be kept."""
    try:
        folder = Path.home() / ".cache" / "deps_jax" / "cpp"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):  # the latter where there is no home
        pass
    return Path(_own_folder().name)


@cache
def _own_folder() -> tempfile.TemporaryDirectory:
    """A folder that ends with this process."""
    return tempfile.TemporaryDirectory(prefix="deps_jax_cpp_")
