"""What a parser may do with damaged input, and how long and with how much memory.

It gives a value, or raises a ValueError of its own with a sentence that says what to do. Every
other exception, a ValueError out of a library, more than a few seconds or half a gigabyte is a
finding.
"""
import contextlib
import faulthandler
import os
import random
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = tuple(str(ROOT / package) for package in ("deps_jax", "nurture_jax", "configs"))
MOST_S, MOST_MB = 10.0, 500  # of the processor; other programs may run beside
STUCK_S = 120  # of native code, which no signal interrupts


class Finding(AssertionError):
    """Something that a parser may not do."""


@contextlib.contextmanager
def bounded():
    """Inside, a case that takes too long or too much memory is a finding."""
    def late(*_):
        raise Finding(f"took more than {MOST_S:.0f} s of the processor")

    def peak_mb():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before, handler = peak_mb(), signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, MOST_S)
    faulthandler.dump_traceback_later(STUCK_S, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
    if peak_mb() - before > MOST_MB:
        raise Finding(f"took {peak_mb() - before:.0f} MB")


def attempt(case, draw):
    """Runs one case; what it may not do is raised."""
    try:
        with bounded():
            case(draw)
    except ValueError as error:
        where = traceback.extract_tb(error.__traceback__)[-1].filename
        if not where.startswith(OURS):
            raise
        # House rule: what is wrong; what to do.
        if ";" not in str(error) or "Traceback" in str(error):
            raise Finding(f"no sentence that says what to do: {error}") from error


def for_minutes(case, minutes, first_seed, say=print):
    """Runs cases of new seeds for so long, and goes on after findings.

    Returns:
      (number of cases, {where and what: (seed, its traceback)}), each kind of finding once.
    """
    end, count, found = time.monotonic() + 60 * minutes, 0, {}
    while time.monotonic() < end:
        seed = first_seed + count
        count += 1
        Path(os.environ.get("FUZZ_SEED_FILE", os.devnull)).write_text(f"{seed}\n")
        try:
            attempt(case, random.Random(seed))
        except KeyboardInterrupt:
            raise
        except Exception as error:
            if (what := _kind(error)) not in found:
                found[what] = seed, traceback.format_exc()
                say(f"seed {seed}: {what}", flush=True)
    return count, found


def _kind(error):
    """The exception and the last place of ours that it went through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if frame.filename.startswith(OURS)]
    cause = error.__cause__ if isinstance(error, Finding) and error.__cause__ else error
    if cause is not error:
        frames = traceback.extract_tb(cause.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} at {place}: {str(error)[:160]}"
