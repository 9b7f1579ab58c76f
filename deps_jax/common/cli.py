"""What every command line shares: one sentence and exit code 2 for bad input, a compile cache."""
from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
from absl import app, flags, logging

from deps_jax.common.loop import Interrupted

BAD_INPUT = 2  # exit codes
INTERRUPTED = 130


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Parses flags and runs `main(argv)`; a ValueError is the user's to mend, so no traceback.

    With DEPS_JAX_TRACEBACK=1 in the environment it is shown all the same.

    Compiled programs are kept in `~/.cache/deps_jax` (or JAX_COMPILATION_CACHE_DIR), so that the
    second start takes seconds.
    """
    def guarded(argv):
        if len(argv) > 1:
            fail(f"unexpected argument {argv[1]!r}; every option is a flag, see --help")
        logging.set_verbosity(logging.WARNING)
        keep_compiled_programs()
        try:
            return main(argv)
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            return INTERRUPTED
        except ValueError as error:
            if os.environ.get("DEPS_JAX_TRACEBACK"):
                raise
            fail(str(error))

    app.run(guarded, flags_parser=_parse)


def keep_compiled_programs() -> None:
    """Persistent compilation cache, unless the environment has chosen one already."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "deps_jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def fail(message: str) -> None:
    """Prints one sentence to stderr and leaves with the exit code of bad input."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def _parse(argv):
    try:
        rest = flags.FLAGS(argv)
        if "config" in flags.FLAGS:
            flags.FLAGS.config.to_dict()  # a file that does not load says so only when it is used
        return rest
    except (flags.Error, AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        fail(_last_line(error))


def _last_line(error: Exception) -> str:
    """What happened, out of the errors of config_flags: some hold a traceback, some a repr."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    text = text.replace("\\'", "'").replace("'\\n", ". ").strip("' \n")
    return text.splitlines()[-1].strip().removeprefix("ValueError: ")
