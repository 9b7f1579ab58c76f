"""The model of a step on many chips: its arithmetic, what it counts, and its command."""
import dataclasses
import json
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_spaces import PIXELS, PLAIN, TINY

from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.nn.operations import PER_DEVICE, SYNCHRONISED
from deps_jax.reference import bench, scaling, scaling_check
from deps_jax.reference.scaling import FULL, SANDWICH, Links, Pace, Work, predicted
from deps_jax.reference.scaling_check import ALLOWED, FITTED, SPACE, THIRD, Timed, compared
from deps_jax.space.families import MOBILENET_V3
from deps_jax.space.subnet import largest
from deps_jax.training.train import Recipe
from deps_jax.training.trainer import Trainer


def test_a_line_through_two_sizes_predicts_a_third():
    pace = Pace.fitted({8: 0.018, 32: 0.042})
    assert (pace.fixed_s, pace.image_s) == pytest.approx((0.01, 0.001))
    assert pace(16) == pytest.approx(0.026)


def test_the_parts_of_a_step():
    pace, links, work = Pace(0.01, 0.001), Links(1e-4, 1e9), Work(50, 4e6)
    assert predicted(pace, links, work, 1, 10).total == pytest.approx(0.02)
    step = predicted(pace, links, work, 4, 10)
    assert (step.statistics, step.gradients) == pytest.approx((0.005, 2 * 0.75 * 0.004))
    assert step.total == pytest.approx(0.02 + 0.005 + 0.006) and step.limit == "fixed"
    waiting = predicted(pace, links, work, 4, 10, input_images_per_s=100)
    assert waiting.total == pytest.approx(0.1) and waiting.limit == "input"
    assert predicted(pace, Links(1e-2, 1e9), work, 4, 10).limit == "statistics"


def executed(jaxpr, times: int = 1) -> int:
    """All-reduces that a program executes, those in loops of known length as often as they run."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name.startswith("psum"):
            total += times
        length = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            total += executed(getattr(inner, "jaxpr", inner), times * length)
    return total


@pytest.mark.parametrize("space", [TINY, PLAIN], ids=lambda space: space.name)
def test_the_exchanges_of_a_step_are_those_of_the_program(space):
    """Beside those of statistics: one of metrics, and two of gradients where they are long."""
    found = {}
    for norm in (SYNCHRONISED, PER_DEVICE):
        recipe = Recipe(space=space, method=bench.METHOD, total=100, steps_per_epoch=10,
                        optimizer=Optimizer(), augment=PIXELS, batch_norm=norm)
        trainer = Trainer(recipe, jax.random.key(0), devices=jax.devices()[:2])
        step = trainer.steps[recipe.phases[0].name, space.resolution]
        found[norm] = executed(step.trace(*bench._step_shapes(recipe, 8)).jaxpr.jaxpr)
    # Gradients, metrics; of running averages one for those of each device.
    assert found[PER_DEVICE] == 3
    assert found[SYNCHRONISED] == 2 + scaling.statistics_exchanges(space, largest(space))


def test_a_plan_scales_until_exchanges_or_the_input_take_longer():
    space = MOBILENET_V3.with_choices(kernels=(7,))
    rows = scaling.plan(scaling.H100, space, FULL, 2048, 1e9, synchronised=True)
    shares = [row["of_linear"] for row in rows]
    assert shares == sorted(shares, reverse=True) and rows[0]["limit"] == "images"
    assert rows[0]["images"] == 256 and rows[0]["step_ms"] == pytest.approx(sum(
        rows[0][f"{name}_ms"] for name in ("fixed", "images", "statistics", "gradients")))
    apart = scaling.plan(scaling.H100, space, FULL, 2048, 1e9, synchronised=False)
    assert apart[-1]["of_linear"] > shares[-1]
    starved = scaling.plan(scaling.V5E, space, FULL, 2048, 1.0, synchronised=True)
    assert {row["limit"] for row in starved} == {"input"}
    both = [scaling.work_of(space, step, True).exchanges for step in (FULL, SANDWICH)]
    assert 2 * both[0] < both[1] < 4 * both[0]
    assert scaling.work_of(space, SANDWICH, False).exchanges == 3


def test_a_check_tells_what_is_off():
    work = scaling.work_of(SPACE, FULL, True)
    alone, small, large = Pace(0.01, 0.001), 2e-4, 3e-3
    timed = {size: alone(size) for size in (*FITTED, THIRD)}
    whole = alone(THIRD) + work.exchanges * small + large
    apart = Timed(timed, np.nan, np.nan)
    exact = compared(apart, Timed({THIRD: whole}, small, large), work.exchanges)
    assert [each.error for each in exact] == pytest.approx([0, 0], abs=1e-9)
    assert all(str(each).endswith(" OK") for each in exact)
    slower = compared(apart, Timed({THIRD: 1.3 * whole}, small, large), work.exchanges)[1]
    assert slower.error == pytest.approx(0.3) and slower.error > ALLOWED
    assert str(slower).endswith("NOT OK")


def in_turn(monkeypatch, repeats):
    """`check` with pairs of processes whose timings are given: (apart, together) of each repeat."""
    given = [one for pair in repeats for one in pair]
    monkeypatch.setattr(scaling_check, "_both", lambda *_: given.pop(0))
    exchanges = scaling.work_of(SPACE, FULL, True).exchanges
    monkeypatch.setattr(scaling_check, "joined_exchanges", lambda: exchanges)
    monkeypatch.setattr(scaling_check.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    verdict = scaling_check.check(["nothing"], 1)
    assert not given
    return verdict


def test_a_check_has_a_verdict_that_one_disturbed_repeat_does_not_change(monkeypatch):
    work = scaling.work_of(SPACE, FULL, True)
    alone, small, large = Pace(0.01, 0.001), 2e-4, 3e-3
    whole = alone(THIRD) + work.exchanges * small + large
    timed = {size: alone(size) for size in (*FITTED, THIRD)}
    quiet = Timed(timed, np.nan, np.nan, 0.99), Timed({THIRD: whole}, small, large)
    disturbed = (Timed({**timed, THIRD: 3 * alone(THIRD)}, np.nan, np.nan, 0.97),
                 Timed({THIRD: 2 * whole}, 5 * small, large))
    verdict = in_turn(monkeypatch, [quiet, disturbed, quiet])
    assert (verdict.exit_code, verdict.share) == (0, 0.97)
    assert str(verdict).endswith("\nOK: all predictions are within 15%")
    wrong = quiet[0], Timed({THIRD: 1.3 * whole}, small, large)
    verdict = in_turn(monkeypatch, [wrong] * 3)
    assert verdict.exit_code == 1 and "\nNOT OK: a prediction is off" in str(verdict)
    busy = dataclasses.replace(quiet[0], share=0.4), quiet[1]
    verdict = in_turn(monkeypatch, [quiet, busy, quiet])
    assert verdict.exit_code == 3
    assert "\nUNSURE: the machine was not quiet, a process had its core only 40% of the time" \
        in str(verdict)


def test_processes_that_do_not_end_are_ended(monkeypatch):
    monkeypatch.setattr(scaling_check, "TIMEOUT_S", 0.5)
    cores = sorted(os.sched_getaffinity(0)) * 2
    with pytest.raises(ValueError, match=r"have not ended in 0\.5 s"):
        scaling_check._both([sys.executable, "-c", "import time; time.sleep(60)"], cores[:2], 1, ())
    assert os.sched_getaffinity(0) == set(cores)


def test_every_process_has_its_own_core(capfd):
    code = "import os, sys; print(os.sched_getaffinity(0), file=sys.stderr); sys.exit(1)"
    cores = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    with pytest.raises(ValueError, match=r"ended with exit codes \[1, 1\]"):
        scaling_check._both([sys.executable, "-c", code], cores, 1, ())
    assert sorted(capfd.readouterr().err.split()) == [f"{{{core}}}" for core in cores]


def test_xla_joins_exchanges_that_wait_for_nothing(monkeypatch):
    """Never more of them than the program has where nothing is joined yet, and not all in one."""
    monkeypatch.setattr(scaling_check, "SPACE", TINY)
    monkeypatch.setattr(scaling_check, "THIRD", 4)
    assert 5 < scaling_check.joined_exchanges() <= scaling.work_of(TINY, FULL, True).exchanges


@pytest.mark.long
def test_a_process_times_its_steps_and_exchanges(tmp_path, monkeypatch):
    """In this process, on its two devices."""
    monkeypatch.setattr(scaling_check, "SPACE", TINY)
    monkeypatch.setattr(scaling_check, "FITTED", (2, 8))
    monkeypatch.setattr(scaling_check, "THIRD", 4)
    scaling_check.member(tmp_path / "timed.json", 1)
    found = json.loads((tmp_path / "timed.json").read_text())
    assert found["steps"].keys() == {"2", "8", "4"} and min(found["steps"].values()) > 0
    assert found["share"] > 0
    for function in (scaling_check._small, scaling_check._large):
        assert scaling_check._exchange(function, jnp.ones(4), 1) > 0


def test_sources_stand_beside_every_chip():
    for chip in scaling.KINDS.values():
        assert chip.sources and set(chip.paces) == set(scaling.STEPS)
        assert [chip.links(count).small_s for count in scaling.CHIPS] == sorted(
            chip.links(count).small_s for count in scaling.CHIPS)
        assert dataclasses.asdict(chip.links(8))["bytes_per_s"] > 1e9
