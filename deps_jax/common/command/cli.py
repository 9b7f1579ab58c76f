"""What every command line shares: one sentence and exit code 2 for bad input, a compile cache."""
from __future__ import annotations

import math
import os
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import jax
from absl import app, flags, logging

from deps_jax.common.command.mendable import is_mendable, sentence
from deps_jax.common.command.vectors import prefer_wide_vectors
from deps_jax.common.files.sealed import tell
from deps_jax.common.loop.fit import Interrupted
from deps_jax.common.processes import start

BAD_INPUT = 2  # exit codes
INTERRUPTED = 130
STOPPED = "stopped_exit_code"  # the flag
A_CONFIG = "a config is a Python file that has get_config, such as configs/deps_digits.py"
CACHE_ROOM_BYTES = 200_000_000  # what the programs of some runs may take (our choice)


def run(main: Callable[[Sequence[str]], int | None], together: bool = False, arguments: int = 0
        ) -> None:
    """Parses flags and runs `main(argv)`, whose result is the exit code.

    What the user can mend (see `mendable`: bad input, a file or folder that cannot be used, a full
    disk, too little memory) is one sentence and exit code 2. With DEPS_JAX_TRACEBACK=1 in the
    environment the traceback is shown all the same. A run that was interrupted (SIGINT) ends with
    exit code 130; one that the system has asked to end (SIGTERM, of spot machines and schedulers),
    with 0: it has saved. Where that would count as the end of the run, --stopped_exit_code (with
    `together`) gives another.

    JAX is set up by `prepare_jax` first, so a launcher must make no array where it is imported.

    Args:
      together: Whether several processes may run this as one (`processes.start`); it has flags
        of its own then.
      arguments: How many arguments that are no flags `main` may be given.
    """
    if together:
        _define_meeting()

    def guarded(argv: Sequence[str]) -> int | None:
        if len(argv) > 1 + arguments:
            fail(f"unexpected argument {argv[1 + arguments]!r}; every option is a flag, see --help")
        logging.set_verbosity(logging.WARNING)
        prepare_jax()
        if together:
            _meet()
        with start.leaving_at_once():
            return _guarded(main, argv)

    app.run(guarded, flags_parser=_parse)


def _guarded(main: Callable[[Sequence[str]], int | None], argv: Sequence[str]) -> int | None:
    """The exit code; what the user can mend is one sentence."""
    try:
        return main(argv)
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        if stop.signal == signal.SIGINT:
            return INTERRUPTED
        return flags.FLAGS[STOPPED].value if STOPPED in flags.FLAGS else None
    except Exception as error:
        if os.environ.get("DEPS_JAX_TRACEBACK") or not is_mendable(error):
            raise
        fail(sentence(error))


def _define_meeting() -> None:
    flags.DEFINE_enum("distributed", "auto", start.WAYS,
                      "whether the environment (SLURM, MPI, Kubernetes, TPU pod) names other "
                      "processes of this run")
    flags.DEFINE_string("coordinator", "", "HOST:PORT of the first process, where none does")
    flags.DEFINE_integer("processes", 0, "number of processes, with --coordinator")
    flags.DEFINE_integer("process", -1, "which of them this is, from 0, with --coordinator")
    flags.DEFINE_integer(STOPPED, 0, "exit code after SIGTERM, when all is saved but the run has "
                         "not ended; another than 0 where 0 is not started again",
                         lower_bound=0, upper_bound=255)


def _meet() -> None:
    given = flags.FLAGS
    try:
        start.meet(start.Meeting(given.distributed, given.coordinator, given.processes,
                                 given.process))
    except ValueError as error:
        fail(str(error))


def prepare_jax() -> None:
    """What every command sets before JAX computes anything, unless the environment has chosen.

    Vectors as wide as the processor has them (see `vectors`), and a cache of compiled programs in
    `~/.cache/deps_jax` (or JAX_COMPILATION_CACHE_DIR), so that the second start takes seconds.
    Where its disk is nearly full, it is only read: a program that JAX has written in part stays so
    for ever, and is compiled at every start.
    """
    prefer_wide_vectors()
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "deps_jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs",
                      0.5 if _has_room(jax.config.jax_compilation_cache_dir) else math.inf)


def _has_room(folder: str) -> bool:
    """Whether compiled programs fit the disk of their folder; says so where they do not."""
    path = Path(folder).absolute()
    there = next(one for one in (path, *path.parents) if one.is_dir())
    if "://" in folder or shutil.disk_usage(there).free >= CACHE_ROOM_BYTES:
        return True
    tell(f"the disk of {folder} is nearly full, so compiled programs are not kept there")
    return False


def fail(message: str) -> NoReturn:
    """Prints one sentence to stderr and leaves with the exit code of bad input."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def seeds_of(words: Sequence[str]) -> list[int]:
    """The numbers of a --seeds flag, each once.

    Raises:
      ValueError: If one is no whole number of 0 or more.
    """
    if wrong := [word for word in words if not word.isdecimal()]:
        raise ValueError(f"--seeds holds {wrong[0]!r}, which is no whole number; give such as 0,1")
    return list(dict.fromkeys(map(int, words)))


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
        if "config" in flags.FLAGS and flags.FLAGS.config is not None:  # where it may be left out
            flags.FLAGS.config.to_dict()  # a file that does not load says so only when it is used
        return rest
    except (NameError, ImportError, SyntaxError) as error:  # such as a config.json of a run
        fail(_not_run(error))
    except (flags.Error, AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        fail(_last_line(error))


def _not_run(error: Exception) -> str:
    """Where a config file, or what it imports, could not be run."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    path, line, why = ((error.filename, error.lineno, error.msg) if isinstance(error, SyntaxError)
                       else (frame.filename, frame.lineno, error))
    place = f"{path}, line {line}: " if path else ""
    return f"{place}{why}; {A_CONFIG}"


_NOT_LOADED = "Configuration is not available because of an earlier failure to load: "


def _last_line(error: Exception) -> str:
    """What happened, taken out of an error of config_flags: some hold a traceback, some a repr."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if missing := re.fullmatch(r"flag --(\w+)=None: .* must have a value other than None\.", text):
        name = missing[1]
        return f"--{name} is missing ({flags.FLAGS[name].help}); see --help"
    if "has no attribute 'get_config'" in text:
        return f"the file of --config has no get_config; {A_CONFIG}"
    text = text.removeprefix(_NOT_LOADED).replace("\\'", "'").replace("'\\n", ". ").strip()
    if text.startswith("'"):
        text = text.strip("'")
    return text.splitlines()[-1].strip().removeprefix("ValueError: ")
