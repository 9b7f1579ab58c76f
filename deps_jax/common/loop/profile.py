"""A trace of some steps of a training, for xprof or Perfetto."""
from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from deps_jax.common.files.sealed import tell
from deps_jax.common.loop.parallel import Tree
from deps_jax.common.processes.together import first

FOLDER = "profile"  # in that of the run


@dataclasses.dataclass(frozen=True)
class Profile:
    """Which steps are traced.

    Attributes:
      start: Number of the first traced step, counted from 0.
      steps: How many are traced.
    """

    start: int
    steps: int

    @classmethod
    def parse(cls, text: str, total_steps: int | None = None) -> Profile | None:
        """The profile that "START:STEPS" asks for; None for "".

        Args:
          total_steps: Length of the run, where it is known.

        Raises:
          ValueError: If the text is of another form, or a step is not in the run.
        """
        if not text:
            return None
        found = re.fullmatch(r"(\d+):(\d+)", text)
        if not found or not int(found[2]):
            raise ValueError(f"--profile {text} is not START:STEPS; give the first step and how "
                             f"many, such as 100:5")
        profile = cls(int(found[1]), int(found[2]))
        if total_steps is not None and profile.start + profile.steps > total_steps:
            raise ValueError(f"--profile {text} ends after step {profile.start + profile.steps}, "
                             f"the run after {total_steps}; choose earlier steps")
        return profile


class Tracer:
    """Traces the steps that are asked for, and marks every step for whoever traces it.

    Of several processes the first traces: they do the same, and would write to one folder.

    Args:
      profile: Which steps; None traces none.
      folder: Folder of the run, in which FOLDER is made; not read without a profile.
    """

    def __init__(self, profile: Profile | None = None, folder: Path = Path()) -> None:
        self._profile = profile if profile and first() else None
        self._folder, self._tracing, self._has_traced = Path(folder) / FOLDER, False, False

    @contextmanager
    def step(self, number: int) -> Iterator[list[Tree]]:
        """Goes around a step; what it returns is put on the list, to be waited for."""
        profile, results = self._profile, []
        if profile and number == profile.start:
            jax.profiler.start_trace(str(self._folder))
            self._tracing = self._has_traced = True
        with jax.profiler.StepTraceAnnotation("train", step_num=number):
            yield results
        if self._tracing and number + 1 == profile.start + profile.steps:
            jax.block_until_ready(results)
            self.close()
            print(f"\ntrace of {profile.steps} steps from step {profile.start}: {self._folder}, to "
                  f"be seen with xprof --logdir {self._folder}", flush=True)

    def close(self) -> None:
        """Ends a trace that is under way; where there was none to take, that is told."""
        if self._profile and not self._has_traced:
            tell(f"no step was traced, as this process did not take step {self._profile.start}; "
                 f"choose one of its own with --profile")
        if self._tracing:
            jax.profiler.stop_trace()
            self._tracing = False
