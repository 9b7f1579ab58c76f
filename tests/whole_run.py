"""A pytest plugin: one compilation cache for a session, its footprint, and what it skipped.

XLA programs are freed after every file (`conftest`), so that they cannot pile up; what several
files compile is compiled once, by whichever worker meets it first, and found on disk by the rest.
"""
from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from footprint import MAX_GB, MAX_MAPS, Footprint, Watch, footprint

CACHE = "JAX_COMPILATION_CACHE_DIR"
# The only reasons for which `make test` may skip, as a user may have none of it.
NEEDS = {"no shared data in": "they read the data beside the repository (DEPS_SHARED)",
         "no C++ compiler": "they compile C++",
         "no small disk": "they mount one of few bytes (Linux, as root)",
         "no Chromium": "they open the page in a browser (Debian: apt-get install chromium npm)",
         "no npm": "they build the page (Debian: apt-get install chromium npm)"}


def pytest_addoption(parser):
    parser.addoption("--allow-skips", action="store_true",
                     help="do not fail when a test was skipped for want of a package")
    parser.addoption("--most-gb", type=float, default=MAX_GB,
                     help="memory that a process of the run may hold; more fails it")
    parser.addoption("--most-maps", type=int, default=MAX_MAPS,
                     help="memory maps that a process of the run may hold; more fails it")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config):
    """Before anything imports JAX, which reads its environment then. Workers inherit it.

    Compilation is what tests wait for, and it is faster without most optimizations; the tests
    marked `long` are compiled as users' programs are (see the Makefile).
    """
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    if CACHE not in os.environ:
        folder = os.environ[CACHE] = tempfile.mkdtemp(prefix="deps_jax_tests_")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
        early_config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_configure(config):
    config.pluginmanager.register(WholeRun(config), "deps-jax-whole-run")


class WholeRun:
    """What one process of the run knows; the controller also hears of its workers."""

    def __init__(self, config):
        self._config, self._is_worker = config, hasattr(config, "workerinput")
        self._own, self._skipped = Footprint(), []
        self._watch = None if self._is_worker else Watch()

    def pytest_runtest_teardown(self):
        self._own.include(footprint())

    def pytest_runtest_logreport(self, report):
        if report.skipped and not self._is_worker and not hasattr(report, "wasxfail"):
            self._skipped.append((report.nodeid, str(report.longrepr[2])))

    def pytest_collectreport(self, report):
        if report.skipped and not self._is_worker:
            self._skipped.append((report.nodeid, str(report.longrepr[2])))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session, exitstatus):
        if self._is_worker:
            self._config.workeroutput["footprint"] = (self._own.resident_bytes, self._own.maps)
            return
        self._watch.close()
        if exitstatus == 0 and (self._too_large() or self._wrongly_skipped()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        """Of xdist: a worker has ended."""
        reached = getattr(node, "workeroutput", {}).get("footprint")
        if reached:
            self._watch.largest.setdefault((0, node.gateway.id), Footprint()).include(
                Footprint(*reached))

    def pytest_terminal_summary(self, terminalreporter):
        write = terminalreporter.write_line
        largest = sorted(self._all().items(), key=lambda item: -item[1].maps)
        terminalreporter.section("largest processes")
        for (pid, name), reached in largest[:4]:
            write(f"{reached.resident_bytes / 1e9:5.2f} GB {reached.maps:6d} maps  "
                  f"{pid or ''} {name}")
        for (_, name), _reached in self._too_large():
            gb, maps = self._most
            write(f"{name}: more than {gb:g} GB or {maps} maps; free what a file compiled, or cut "
                  f"it in two", red=True)
        for needed, why in NEEDS.items():
            if count := sum(needed in reason for _, reason in self._skipped):
                write(f"{count} skipped: {why}")
        for test, reason in self._wrongly_skipped():
            write(f"{test} was skipped: {reason}", red=True)

    def _all(self) -> dict:
        return {**self._watch.largest, (os.getpid(), "this process"): self._own}

    @property
    def _most(self) -> tuple[float, int]:
        """Gigabytes and memory maps."""
        return self._config.getoption("--most-gb"), self._config.getoption("--most-maps")

    def _too_large(self) -> list:
        return [item for item in self._all().items() if item[1].is_too_large(*self._most)]

    def _wrongly_skipped(self) -> list:
        return [] if self._config.getoption("--allow-skips") else [
            (test, reason) for test, reason in self._skipped
            if not any(needed in reason for needed in NEEDS)]
