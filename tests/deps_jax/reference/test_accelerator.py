"""The benchmark of an accelerator: what it tells, what it leaves out, and that forms agree."""
import json

import chex
import jax
import numpy as np
import pytest

from deps_jax.reference import accelerator, bench, depthwise_forms
from deps_jax.space.search_space import SearchSpace, Stage

SMALL = SearchSpace(
    name="small", stem_width=8, stem_stride=2, first_width=8, first_residual=True,
    stages=(Stage(8, 1, "relu", False, depths=(1, 2), kernels=(3,), expands=(1, 2)),),
    head_width=16, feature_width=0, num_classes=3, resolution=8)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""
    now = [0.0]
    monkeypatch.setattr(accelerator.time, "monotonic", lambda: now[0])
    return now


def test_what_would_not_be_done_in_time_is_left_out(clock):
    def takes(seconds):
        clock[0] += seconds
        return seconds

    found = accelerator.Clock(minutes=2)
    assert found.run("steps", lambda: takes(50)) == 50
    assert found.run("gradients", lambda: takes(30)) == 30
    assert found.run("steps", lambda: takes(1)) == (
        "left out: 40 s were left, the last such took 50 s")
    assert found.run("gradients", lambda: takes(40)) == 40
    assert found.run("torch", lambda: takes(1)).startswith("left out: 0 s were left")


@pytest.mark.parametrize("error", [jax.errors.JaxRuntimeError, RuntimeError])
def test_what_does_not_fit_the_device_leaves_the_others(error):
    def too_large():
        raise error("RESOURCE_EXHAUSTED: Out of memory\nat length")

    assert accelerator.Clock(1).run("", too_large) == "failed: RESOURCE_EXHAUSTED: Out of memory"


def test_nothing_is_made_once_the_time_is_over(monkeypatch):
    def make(*_):
        raise AssertionError("weights and batches were made")

    monkeypatch.setattr(accelerator, "_PROGRAMS", dict.fromkeys(accelerator.PARTS, make))
    monkeypatch.setattr(depthwise_forms, "cases", make)
    report = accelerator.accelerator_benchmark(
        accelerator.PARTS, [(SMALL, "float32")], batch_size=4, minutes=0, beside_torch=False,
        keep=json.dumps)
    assert report["steps"] == {"small, 8 px, float32": {"all": "left out: no time was left"}}
    assert "left out: no time was left" in accelerator.text(report)


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="part 'speed' is unknown; choose from steps, torch"):
        accelerator.accelerator_benchmark(["speed"], [], batch_size=4, minutes=1,
                                          beside_torch=False, keep=print)


def test_the_report_is_kept_after_every_program(monkeypatch):
    monkeypatch.setattr(accelerator, "_PROGRAMS", dict.fromkeys(
        accelerator.PARTS[:-1], lambda *_: iter([("largest", len), ("smallest", len)])))
    form = depthwise_forms.FORMS[0]
    monkeypatch.setattr(depthwise_forms, "cases", lambda *_: iter(
        [depthwise_forms.Case(form, 5, 7, 9, "float32", len)]))
    monkeypatch.setattr(accelerator, "machine", lambda beside_torch: {"torch": beside_torch})
    times = iter(range(1, 100))
    monkeypatch.setattr(accelerator, "timed", lambda *_: {
        "first_run_s": 31.5, "ms": [4.0, 2.0, float(next(times))]})
    kept = []
    report = accelerator.accelerator_benchmark(
        accelerator.PARTS, [(SMALL, "float32"), (SMALL, "bfloat16")], batch_size=6, minutes=1,
        beside_torch=True, keep=lambda report: kept.append(json.dumps(report)))
    assert len(set(kept)) == len(kept) == (3 * 2 + 1) * 2 + 1 and json.loads(kept[-1]) == report
    assert list(report["settings"]) == ["small, 8 px, float32"]
    told = accelerator.text(report)
    assert "steps: small, 8 px, bfloat16, batch 6" in told
    assert ("  smallest                                    2.00 ms      3000 images/s   first run "
            "  31.5 s") in told
    assert "  forward          float32   k 5    7 px    9 channels  native   4.000" in told


@pytest.mark.parametrize("kernel", [3, 7])
def test_all_forms_of_the_depthwise_convolution_agree(kernel):
    results = {}
    for case in depthwise_forms.cases(2, (kernel,), ((6, 3),), ("float32",)):
        results.setdefault(case.form.direction, []).append(case.run())
    assert tuple(results) == depthwise_forms.DIRECTIONS
    for native, *others in results.values():
        assert others
        for other in others:
            chex.assert_trees_all_close(other, native, rtol=1e-5, atol=1e-4)


def test_a_round_is_as_long_as_asked(monkeypatch):
    ticks, calls = iter(np.arange(0, 100, 0.01)), []
    monkeypatch.setattr(accelerator.time, "perf_counter", lambda: float(next(ticks)))
    found = accelerator.timed(lambda: calls.append(1), least=0.05, rounds=2)
    # One call that compiles, two to warm up, two that take 0.01 s on this clock, rounds of ten.
    assert len(calls) == 1 + 2 + 2 + 2 * 10
    assert found["ms"] == pytest.approx([1.0, 1.0])


def test_what_jax_cannot_wait_for_is_waited_for_itself():
    told = []
    accelerator.timed(accelerator.WaitingCall(lambda: told.append("run"),
                                              lambda: told.append("wait")), 1e-4, 1)
    assert told[:5] == ["run", "wait", "run", "run", "wait"] and told[-1] == "wait"


@pytest.mark.long
def test_steps_and_gradients_are_timed_under_every_setting(monkeypatch):
    monkeypatch.setattr(accelerator, "SETTINGS", {"none": {}})  # the others are for GPUs
    report = accelerator.accelerator_benchmark(
        ("steps", "settings", "gradients"), [(SMALL, "bfloat16")], batch_size=4, minutes=30,
        beside_torch=False, keep=lambda report: None)
    for part, names in (("steps", bench.STEPS), ("settings", ("none",)),
                        ("gradients", ("largest", "middle", "smallest", "sandwich"))):
        found = report[part]["small, 8 px, bfloat16"]
        assert tuple(found) == names
        assert all(min(program["ms"]) > 0 for program in found.values())


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pytorch_runs_the_same(dtype):
    pytest.importorskip("torch", reason="needs torch, the extra `bench`")
    found = dict(accelerator.torch_programs(SMALL, dtype, 4))
    assert tuple(found) == (*bench.STEPS, "largest", "middle", "smallest", "largest, compiled")
    for name, run in found.items():
        if not name.endswith("compiled"):  # that needs a C++ compiler
            run()
            run.wait()
