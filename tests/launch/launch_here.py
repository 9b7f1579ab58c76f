"""Runs a launcher in this process: a process of its own would import and compile for seconds."""
from __future__ import annotations

import contextlib
import io
import runpy
import sys
from pathlib import Path

import pytest
from absl import app, flags

import launch

ROOT = Path(__file__).parents[2]


def launch_here(module: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m launch.MODULE ARGUMENTS`.

    Programs are kept where `whole_run` has said, by processes that are started, too.
    """
    app.define_help_flags()
    sys.modules.pop("launch.search_flags", None)  # its flags are taken back each time
    vars(launch).pop("search_flags", None)
    before, out, err = set(flags.FLAGS), io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), \
            contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", [f"launch/{module}.py", *arguments])
        try:
            with pytest.raises(SystemExit) as stop:
                runpy.run_module(f"launch.{module}", run_name="__main__")
        finally:
            for name in set(flags.FLAGS) - before:  # the next launcher has the same names
                delattr(flags.FLAGS, name)
    return stop.value.code or 0, out.getvalue(), err.getvalue()
