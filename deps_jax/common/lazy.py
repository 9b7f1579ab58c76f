"""Public names of a package, each read out of its file when it is asked for (PEP 562).

So a package can name what it is made of, and a command that needs one file of it loads no other.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

Attached = tuple[Callable[[str], object], Callable[[], list[str]], list[str]]


def attach(package: str, names: Mapping[str, Sequence[str]]) -> Attached:
    """What the package sets its `__getattr__`, `__dir__` and `__all__` to.

    Args:
      package: Its `__name__`.
      names: Names that each of its files gives, by the name of the file. None may be called as
        its own file is: that name stands for the file as soon as the file is loaded.
    """
    file_of = {name: file for file, given in names.items() for name in given}
    assert not file_of.keys() & names.keys(), f"{package}: a name is that of a file"
    public = sorted(file_of)

    def get(name: str) -> object:
        if name not in file_of:
            raise AttributeError(f"{package} has no {name!r}; it has {', '.join(public)}")
        return getattr(import_module(f"{package}.{file_of[name]}"), name)

    return get, lambda: list(public), list(public)
