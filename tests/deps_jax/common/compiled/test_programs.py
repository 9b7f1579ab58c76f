"""Programs are found again by what they are made of, and only by that."""
import dataclasses
import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from deps_jax.common.compiled import programs
from deps_jax.common.compiled.described import Undescribed, described
from deps_jax.common.loop.parallel import data_parallel, mean_over_devices


@dataclasses.dataclass(frozen=True)
class Settings:
    factor: float
    schedule: object = None


def scaled(settings, state, batch, extra, *, axis_name):
    del extra
    traces.append(settings)
    devices = jax.lax.psum(1, axis_name) if axis_name else 1
    mean = mean_over_devices((batch["x"] * settings.factor).sum(), axis_name)
    return {"state": state + 1, "sum": devices * mean}


traces = []
BATCH = {"x": np.arange(6, dtype=np.float32)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv(programs.OFF)
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    traces.clear()
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", before)


def run(settings=Settings(2.0), batch=BATCH, count=1):
    """The sum that a new function of these settings gives, as a new process would make it."""
    function = data_parallel(partial(scaled, settings), devices=jax.devices()[:count], name="sum",
                             made_of=(scaled, settings))
    return float(function(jnp.zeros(3), batch, None)["sum"])


def test_a_program_is_traced_once_and_then_read(cache):
    assert [run(), run()] == [30.0, 30.0]
    assert len(traces) == 1
    assert len(list((cache / programs.FOLDER).glob(f"*{programs.ENDING}"))) == 1


def test_programs_of_several_devices_are_kept_apart_from_those_of_one(cache):
    assert [run(count=2), run(count=2), run(), run(count=2)] == [30.0] * 4
    assert len(traces) == 2
    assert len(list((cache / programs.FOLDER).glob(f"*{programs.ENDING}"))) == 2


def test_other_settings_shapes_and_options_are_other_programs():
    run()
    assert run(Settings(3.0)) == 45.0
    assert run(batch={"x": np.ones(7, np.float32)}) == 14.0
    with jax.default_matmul_precision("highest"):
        run()
    assert len(traces) == 4


def test_damaged_programs_are_compiled_again(cache):
    run()
    path, = (cache / programs.FOLDER).glob(f"*{programs.ENDING}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert [run(), run()] == [30.0, 30.0]
    assert len(traces) == 2


def test_what_jax_has_read_from_its_own_cache_is_not_kept(cache, monkeypatch):
    """XLA cannot write such a program again: what was kept of it could not be run."""
    before = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    reset_cache()  # JAX remembers the folder of earlier tests
    try:
        assert run() == 30.0
        # As after an edit: the key is another one, what JAX lowers is the same.
        monkeypatch.setattr(programs, "own_sources", lambda: "edited")
        assert [run(), run()] == [30.0, 30.0]
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before)
        reset_cache()
    assert len(traces) == 3
    assert len(list((cache / programs.FOLDER).glob(f"*{programs.ENDING}"))) == 1


def test_what_cannot_be_described_is_not_kept(cache):
    assert run(Settings(2.0, object())) == 30.0
    assert not list(cache.rglob(f"*{programs.ENDING}"))


def test_nothing_is_kept_where_there_is_no_cache(cache):
    jax.config.update("jax_compilation_cache_dir", None)
    assert [run(), run()] == [30.0, 30.0]
    assert len(traces) == 2 and not list(cache.rglob(f"*{programs.ENDING}"))


@pytest.mark.parametrize("off", ["the environment", "JAX's own switch"])
def test_nothing_is_kept_where_that_is_asked_for(cache, monkeypatch, off):
    if off == "the environment":
        monkeypatch.setenv(programs.OFF, "1")
        run()
    else:
        jax.config.update("jax_enable_compilation_cache", False)
        try:
            run()
        finally:
            jax.config.update("jax_enable_compilation_cache", True)
    assert not list(cache.rglob(f"*{programs.ENDING}"))


def test_the_program_used_longest_ago_goes_first(cache, monkeypatch):
    monkeypatch.setattr(programs, "KEPT", 2)
    for age, factor in ((30, 1.0), (20, 2.0)):
        run(Settings(factor))
        newest = max((cache / programs.FOLDER).glob(f"*{programs.ENDING}"), key=os.path.getctime)
        os.utime(newest, (age, 1e9 - age))
    run(Settings(1.0))  # read: the second is now the one used longest ago
    run(Settings(3.0))
    run(Settings(1.0))
    assert len(traces) == 3
    run(Settings(2.0))
    assert len(traces) == 4


def test_a_new_program_is_kept_where_the_clock_was_set_back(cache, monkeypatch):
    monkeypatch.setattr(programs, "KEPT", 2)
    for factor in (1.0, 2.0):
        run(Settings(factor))
    for path in (cache / programs.FOLDER).glob(f"*{programs.ENDING}"):
        os.utime(path, (4e9, 4e9))  # of a time that is to come
    run(Settings(3.0))
    run(Settings(3.0))
    assert len(traces) == 3
    assert len(list((cache / programs.FOLDER).glob(f"*{programs.ENDING}"))) == 2


@pytest.mark.parametrize("count", [1, 2])
def test_kept_programs_reuse_the_memory_of_a_state_that_is_given_away(count):
    for _ in range(2):
        function = data_parallel(partial(scaled, Settings(1.0)), devices=jax.devices()[:count],
                                 donate=True, name="sum", made_of=(scaled, Settings(1.0)))
        state = function.place(jnp.zeros(3))
        np.testing.assert_array_equal(function(state, BATCH, None)["state"], np.ones(3))
        assert state.is_deleted()
    assert len(traces) == 1


def test_seconds_of_the_last_time_are_told(capsys):
    run()
    assert "tracing" not in capsys.readouterr().err
    settings, = programs._all_seconds()
    programs.note_seconds(settings, 75.4)
    assert programs.seconds(settings) == 75.4
    for path in (programs._folder()).glob(f"*{programs.ENDING}"):
        path.unlink()
    run()
    assert "sum: tracing and compiling, 75 s the last time" in capsys.readouterr().err


def closed_over(value):
    return lambda step: step * value


ONE, OTHER = lambda step: step + 1, lambda step: step + 2


@pytest.mark.parametrize("one, other", [
    (ONE, OTHER),
    (1, 1.0), ("1", 1), (True, 1), ((1, 2), [1, 2]), ({"a": 1}, {"a": 2}), ({1}, {2}),
    (Settings(1.0), Settings(2.0)), (np.zeros(2), np.zeros(3)), (np.zeros(2), np.zeros(2, int)),
    (closed_over(1), closed_over(2)), (partial(closed_over, 1), partial(closed_over, 2)),
    (jnp.float32, jnp.bfloat16), (scaled, closed_over), (Settings(1.0, closed_over(3)).schedule,
                                                        Settings(1.0, closed_over(4)).schedule),
])
def test_descriptions_tell_values_apart(one, other):
    assert described(one) != described(other)
    assert described(one) == described(one)


def test_descriptions_are_of_values_not_of_objects():
    assert described(closed_over(1)) == described(closed_over(1))
    assert described({"a": 1, "b": 2}) == described({"b": 2, "a": 1})
    assert described(Settings(1.0, {3, 4})) == described(Settings(1.0, {4, 3}))
    with pytest.raises(Undescribed, match="object"):
        described(Settings(1.0, object()))
