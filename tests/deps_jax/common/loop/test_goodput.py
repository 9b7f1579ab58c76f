"""Where the time of a run went: every second once, and what was done again is lost."""
import json

import pytest

from deps_jax.common.files import sealed
from deps_jax.common.loop import goodput
from deps_jax.common.loop.goodput import FILE, KINDS, Goodput, Spending


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so; a process has run for 3 s when it comes here."""
    now = [1000.0]
    monkeypatch.setattr(goodput.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(goodput.time, "time", lambda: now[0])
    monkeypatch.setattr(goodput, "_began", lambda: now[0] - 3.0)
    monkeypatch.setattr(goodput, "_free_since", 0.0)
    return now


def spend(clock, spending, **seconds):
    for kind, amount in seconds.items():
        with spending.on(kind):
            clock[0] += amount


def test_every_second_counts_once(clock, tmp_path):
    spending = Spending(tmp_path)
    spend(clock, spending, trace=2, compile=10)
    clock[0] += 1
    spending.begin_steps()
    clock[0] += 60
    with spending.on("evaluation"):
        clock[0] += 4
        with spending.on("checkpoints"):
            clock[0] += 5
        clock[0] += 6
    spending.waited(20)
    found = spending.so_far()
    assert found.seconds == {"start": 4, "trace": 2, "compile": 10, "steps": 40, "data": 20,
                             "evaluation": 10, "checkpoints": 5, "lost": 0}
    assert sum(found.seconds.values()) == clock[0] - 1000 + 3
    assert found.share == pytest.approx(40 / 91)
    spending.write(100)
    assert goodput.read(tmp_path) == found


def test_what_came_after_the_checkpoint_that_was_continued_from_is_lost(clock, tmp_path):
    first = Spending(tmp_path)
    first.begin_steps()
    for step, seconds in ((50, 10), (100, 10), (150, 10)):
        clock[0] += seconds
        first.write(step)
    clock[0] += 500  # another process, later, from the checkpoint of step 100
    second = Spending(tmp_path, 100)
    second.begin_steps()
    clock[0] += 7
    second.write(150)
    found = goodput.read(tmp_path)
    assert (found.processes, found.seconds["steps"], found.seconds["lost"]) == (2, 27, 10)
    assert found.seconds["start"] == 6
    assert str(found) == ("63% of 43 s went into steps that were kept (steps 27 s, lost 10 s, "
                          "start 6 s; 2 processes)")


def test_a_run_that_starts_anew_has_lost_everything(clock, tmp_path):
    first = Spending(tmp_path)
    first.begin_steps()
    clock[0] += 30
    first.write(50)
    clock[0] += 1
    Spending(tmp_path, 0).write(0)
    found = goodput.read(tmp_path)
    assert (found.seconds["lost"], found.seconds["steps"], found.processes) == (33, 0, 2)


def test_damaged_and_missing_records_stop_nobody(clock, tmp_path, capsys):
    assert goodput.read(tmp_path) is None
    spending = Spending(tmp_path)
    spending.begin_steps()
    for step in (10, 20):
        clock[0] += 5
        spending.write(step)
    lines = (tmp_path / FILE).read_text().splitlines()
    (tmp_path / FILE).write_text(lines[0].replace("5", "6", 1) + "\n" + lines[1] + "\n")
    assert goodput.read(tmp_path).seconds["steps"] == 10
    assert "damaged in 1 of 2 lines" in capsys.readouterr().err


def test_times_are_told_as_people_do():
    seconds = dict.fromkeys((*KINDS, "lost"), 0.0)
    told = str(Goodput({**seconds, "steps": 7322.0, "compile": 125.2}, 1))
    assert told == ("98% of 2:04:07 went into steps that were kept (steps 2:02:02, compile 2:05; "
                    "1 process)")


def test_a_process_that_has_several_runs_counts_its_seconds_once(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(goodput, "_began", lambda: 997.0)
    for place, start in (("one", 3), ("two", 0), ("three", 7)):
        clock[0] += 7 * (place == "three")  # made ready after the run before was left
        spending = Spending(tmp_path / place)
        spending.begin_steps()
        clock[0] += 20
        spending.write(1)
        found = goodput.read(tmp_path / place).seconds
        assert (found["start"], found["steps"]) == (start, 20), place
        clock[0] += 30  # evaluates it
        goodput.leave()


def test_a_process_knows_when_it_began():
    assert 0 < goodput.time.time() - goodput._began() < 24 * 3600


def test_a_line_is_plain(clock, tmp_path):
    Spending(tmp_path, 4).write(5)
    line, = (tmp_path / FILE).read_text().splitlines()
    assert sealed.read_lines(tmp_path / FILE)[0]["from"] == 4
    assert set(json.loads(line)) >= {"began", "from", "step", *KINDS}
