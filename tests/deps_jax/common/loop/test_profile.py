"""Some steps of a training are traced, and no others."""
import jax
import jax.numpy as jnp
import pytest

from deps_jax.common.loop.profile import FOLDER, Profile, Tracer


@pytest.mark.parametrize(("text", "words"), [
    ("5", "--profile 5 is not START:STEPS"), ("a:b", "such as 100:5"), ("5:0", "is not START"),
    ("-1:3", "is not START"), ("28:3", "ends after step 31, the run after 30; choose earlier")])
def test_a_bad_profile_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        Profile.parse(text, 30)


def test_the_steps_that_are_asked_for():
    assert Profile.parse("") is None
    assert Profile.parse("27:3", 30) == Profile(27, 3)


def run(tracer, steps, until=None):
    for number in range(steps):
        with tracer.step(number) as results:
            results.append(jnp.ones(3) * number)
        if number == until:
            break
    tracer.close()


@pytest.fixture
def traces(monkeypatch):
    """What the profiler was told; a real trace of a process of the suite takes seconds."""
    told = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: told.append(folder))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: told.append("stop"))
    return told


def test_the_trace_ends_with_its_last_step(traces, tmp_path, capsys):
    run(Tracer(Profile(2, 3), tmp_path), 10)
    assert traces == [str(tmp_path / FOLDER), "stop"]
    assert "trace of 3 steps from step 2" in capsys.readouterr().out


def test_a_run_that_stops_leaves_no_open_trace(traces, tmp_path, capsys):
    run(Tracer(Profile(2, 5), tmp_path), 10, until=3)
    assert traces == [str(tmp_path / FOLDER), "stop"]
    assert not capsys.readouterr().err


def test_a_run_that_does_not_take_the_step_says_so(traces, tmp_path, capsys):
    run(Tracer(Profile(20, 5), tmp_path), 4)
    assert not traces and "did not take step 20" in capsys.readouterr().err
    run(Tracer(None, tmp_path), 4)
    assert not traces and not capsys.readouterr().err


def test_the_first_of_several_processes_traces(traces, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    run(Tracer(Profile(2, 3), tmp_path), 10)
    run(Tracer(Profile(20, 5), tmp_path), 4)
    assert not traces and not "".join(capsys.readouterr())


@pytest.mark.long
def test_a_trace_is_written(tmp_path):
    run(Tracer(Profile(1, 2), tmp_path), 4)
    assert list((tmp_path / FOLDER).rglob("*.xplane.pb"))
