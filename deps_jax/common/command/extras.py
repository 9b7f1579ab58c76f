"""A missing package of an extra is one sentence to the user instead of a traceback."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from deps_jax.common.command.cli import fail

# What the packages of each extra (setup.cfg) are called where they are imported.
EXTRAS = {
    "anny": ("embreex",),
    "bench": ("torch",),
    "export": ("onnx", "onnxruntime", "pymoo", "yaml"),
    "nurture": ("array_record", "av", "pycocotools", "pygrowup", "scipy"),
}


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Goes around the imports of a command that work only with an extra installed:

        with needs("export"):
            from deps_jax.search.search_run import search_run

    Where a package of the extra is missing, the process ends with one sentence that names both,
    and the exit code of bad input. Every other error, also of a package that is no extra's, is
    passed on.

    Args:
      extra: Name of the extra, a key of `EXTRAS`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS[extra]:
            raise
        fail(f"{package} is not installed; install the extra that holds it: pip install "
             f"'deps-jax[{extra}]'")
