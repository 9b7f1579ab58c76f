"""Runs a comparison: methods times seeds at equal cost, by as many processes as there are.

    FOLDER/config.json                      what is compared; another comparison is refused
    FOLDER/runs/NAME-seedN/, NAME-seedN.json   a run, and what was found, see `one_run`
    FOLDER/comparison.csv, .png, .html      of all finished runs, see `report`

A stopped comparison goes on where it was. Several processes may be started on the same folder: each
takes runs that nobody else is at work on. The report is written by each of them when it ends, so
the last one writes the whole.
"""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deps_jax.common.files import locks, workdir
from deps_jax.comparison.one_run import finish
from deps_jax.comparison.plan import MAY_DIFFER, Comparison, PlannedRun, plan
from deps_jax.comparison.report import write_report


def compare(config: Mapping, folder: Path) -> str:
    """Makes the runs that are left to do, and the report.

    Args:
      config: Config of a comparison, as `Comparison.from_dict` takes it.
      folder: Folder of all runs and of the report.

    Returns:
      What `write_report` returns, with the runs that other processes are at work on.

    Raises:
      ValueError: As `plan`; and if the folder is of another comparison, before anything is trained.
    """
    comparison = Comparison.from_dict(config)
    workdir.check(folder, dict(config), may_differ=MAY_DIFFER)
    runs = plan(comparison)
    _claim(folder, config)
    left = _finish_free(_finish_free(runs, folder), folder)  # whoever was at work may have died
    text = write_report(folder)
    busy = ", ".join(run.label for run in left)
    return text + (f"\nother processes are at work on {busy}" if busy else "")


def _finish_free(runs: list[PlannedRun], folder: Path) -> list[PlannedRun]:
    """Finishes runs that nobody else is at work on; returns the others."""
    return [run for run in runs if not finish(run, folder)]


def _claim(folder: Path, config: Mapping) -> None:
    """Makes the folder this comparison's."""
    workdir.make(folder)
    with locks.alone(folder, f"waiting for another process in {folder}"):
        workdir.claim(folder, dict(config), may_differ=MAY_DIFFER)
