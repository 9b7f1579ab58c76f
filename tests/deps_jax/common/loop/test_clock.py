"""A clock that is set back: what is measured and the order of files do not depend on it."""
import time

import pytest

from deps_jax.common.loop import goodput, writer
from deps_jax.common.loop.goodput import Spending
from deps_jax.common.loop.writer import Writer


@pytest.fixture
def clock(monkeypatch):
    """Seconds since 1970, as a test sets them; what has passed goes on as it is."""
    now = [2e9]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def test_files_of_events_are_read_in_the_order_of_the_processes(clock, tmp_path):
    for step in range(3):
        with_one = Writer(tmp_path, step)
        with_one.write(step + 1, {"loss": 1.0})
        with_one.close()
        names = sorted(path.name for path in (tmp_path / "tensorboard").iterdir())
        assert len(names) == step + 1 and int(names[-1].split(".")[0].split("_")[1]) == step
        clock[0] -= 3600  # before the next process
    assert [line["step"] for line in writer.read(tmp_path)] == [1, 2, 3]


def test_no_second_is_negative_and_processes_stay_in_order(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(goodput, "_began", lambda: clock[0] + 5.0)  # it was set back by then
    first = Spending(tmp_path)
    first.begin_steps()
    clock[0] -= 1000
    first.write(10)
    clock[0] -= 1e6
    second = Spending(tmp_path, 10)
    second.begin_steps()
    second.write(20)
    found = goodput.read(tmp_path)
    assert found.processes == 2 and min(found.seconds.values()) >= 0
    assert found.seconds["lost"] == 0 and sum(found.seconds.values()) < 60
