"""The benchmark runs on a small space, times what it says, and tells it whole."""
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags

from deps_jax.reference import bench
from deps_jax.reference.bench_report import LAYOUTS, machine, ratios, text
from deps_jax.reference.program import conditionals
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace, Stage
from deps_jax.space.subnet import largest, smallest
from deps_jax.space.subnet_text import encode
from deps_jax.training import train

SMALL = SearchSpace(
    name="small", stem_width=8, stem_stride=2, first_width=8, first_residual=True,
    stages=(Stage(8, 1, "relu", False, depths=(1, 2), kernels=(3,), expands=(1, 2)),),
    head_width=16, feature_width=0, num_classes=3, resolution=8)


def run(*parts, beside_torch=False):
    return bench.benchmark(parts, SMALL, SMALL, batch_size=4, rounds=3, beside_torch=beside_torch)


@pytest.fixture
def report(monkeypatch):
    """Of candidates that do nothing: the real ones are run by the long test."""
    for name, candidates in (("gradient_candidates", ("largest", "smallest", "sandwich")),
                             ("step_candidates", bench.STEPS)):
        monkeypatch.setattr(bench, name, lambda *_, candidates=candidates: dict.fromkeys(
            candidates, lambda: sum(range(1000))))
    counts = {name: {"jaxpr": 0, "cuda": 7} for name in bench.STEPS}
    monkeypatch.setattr(bench, "step_conditionals", lambda *_: counts)
    return run("full", "steps", "conditionals")


def test_every_candidate_is_timed_in_every_round(report):
    assert list(report["full"]["seconds"]) == ["largest", "smallest", "sandwich"]
    assert list(report["steps"]["seconds"]) == ["full-model step", "sandwich step"]
    for part in ("full", "steps"):
        assert all(len(values) == 3 and min(values) > 0
                   for values in report[part]["seconds"].values())
    assert report["steps"]["space"] == {"name": "small", "width_mult": 1.0, "resolution": 8,
                                        "kernels": [3]}
    assert json.loads(json.dumps(report)) == report


def test_the_text_holds_figures_counts_and_machine(report):
    lines = text(report).splitlines()
    ratio = report["steps"]["ratios"]["of minima"]["sandwich step / full-model step"]
    assert any(line.split()[:5] == ["sandwich", "step", "/", "full-model", "step"]
               and line.split()[5] == f"{ratio:.2f}" for line in lines)
    assert "steps: small, width 1, K {3}, batch 4, 3 rounds" in text(report)
    i = lines.index("conditionals of the sandwich step, small, width 1, K {3}")
    assert lines[i + 1] == "  jaxpr 0, cuda 7"
    assert f"jax              {jax.__version__}" in lines


def test_images_are_arguments():
    found = bench.gradient_candidates(SMALL, 4, beside_torch=False)
    assert list(found) == ["largest", "middle", "smallest", "sandwich"]
    arguments = found["largest"].args
    constants = found["largest"].func.trace(*arguments).jaxpr.consts
    assert all(np.size(value) < 4 * 8 * 8 * 3 for value in constants)
    assert arguments[1].shape == (4, 8, 8, 3)


def test_both_sides_train_the_same_subnets(monkeypatch):
    recipe, key = bench.recipe_of(SMALL), jax.random.key(0)
    monkeypatch.setattr(train, "update",
                        lambda recipe, phase, state, inputs, subnets, axis: (subnets, {}))
    state = train.TrainState(jnp.int32(bench.STEP), {}, {}, ())
    batch = {"image": jnp.zeros((4, 8, 8, 3), jnp.uint8), "label": jnp.zeros(4, jnp.int32)}
    drawn, _ = train.train_step(recipe, recipe.phase_of(bench.STEP), state, batch, key)
    names = [encode(SMALL, jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), drawn))
             for i in range(4)]
    found = bench.drawn_subnets(recipe, key, bench.STEP)
    assert [encode(SMALL, subnet) for subnet in found] == names
    assert names[:2] == [encode(SMALL, largest(SMALL)), encode(SMALL, smallest(SMALL))]


def test_ratios_are_of_minima_and_medians():
    seconds = {"largest": [2, 1, 3], "sandwich": [9, 6, 4]} | {
        f"torch channels_last {name}": [4, 2, 5]
        for name in ("largest", "smallest", "sampled_1", "sampled_2")}
    found = ratios(seconds)
    assert found["of minima"] == {
        "sandwich / largest": 4, "largest / PyTorch channels_last": 0.5,
        "sandwich / PyTorch channels_last": 0.5}
    assert found["of medians"] == {
        "sandwich / largest": 3, "largest / PyTorch channels_last": 0.5,
        "sandwich / PyTorch channels_last": 6 / 16}
    steps = ratios({"full-model step": [1], "sandwich step": [3], "torch contiguous sandwich step":
                    [6], "torch contiguous full-model step": [2]})["of minima"]
    assert steps == {"sandwich step / full-model step": 3,
                     "full-model step / PyTorch contiguous": 0.5,
                     "sandwich step / PyTorch contiguous": 0.5}


def test_what_it_ran_on(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_prefer_vector_width=512")
    found = machine(beside_torch=False)
    assert found["vector_bits"] == 512 and found["xla_flags"] and found["processor"]
    assert found["usable_cores"] >= 1 and "torch" not in found


def test_bad_input_is_refused_before_any_work(monkeypatch):
    with pytest.raises(ValueError, match="part 'speed' is unknown; choose from full, quarter"):
        run("full", "speed")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(ValueError, match="PyTorch runs on the CPU here and JAX on gpu; leave"):
        run("full", beside_torch=True)


def test_conditionals_are_counted_wherever_they_are():
    def choose(i, x):
        return jax.lax.switch(i, [jnp.sin, jnp.cos, lambda x: jax.lax.cond(
            x[0] > 0, jnp.tan, jnp.exp, x)], x)

    def fn(i, x):
        def body(x, _):
            return jax.jit(choose)(i, x), None

        return jax.lax.scan(body, x, None, length=3)[0] + choose(i, x)

    assert conditionals(jax.jit(fn).trace(jnp.int32(0), jnp.ones(2))) == {
        "jaxpr": 4, "cpu": 4, "cuda": 4, "tpu": 4}
    assert set(conditionals(jax.jit(jnp.sin).trace(jnp.ones(2))).values()) == {0}


@pytest.mark.long
def test_all_parts_beside_torch():
    pytest.importorskip("torch", reason="needs torch, the extra `bench`")
    flags.FLAGS.mark_as_parsed()  # as launchers do: workers read them
    report = run(*bench.PARTS, beside_torch=True)
    assert report["machine"]["torch_threads"] >= 1
    for part in ("full", "quarter", "steps"):
        for layout in LAYOUTS:
            assert f"PyTorch {layout}" in " ".join(report[part]["ratios"]["of minima"])
    assert report["compile"]["compilations over 20 subnets"] == 1
    assert min(report["compile"]["seconds"].values()) > 0
    assert report["conditionals"]["sandwich step"]["cuda"] > 0
    assert min(report["data"]["images a second"].values()) > 0
    assert "streamed, 2 workers" in text(report)


@pytest.mark.long
def test_a_step_in_torch_does_the_same_work():
    torch = pytest.importorskip("torch", reason="needs torch, the extra `bench`")
    from deps_jax.reference import torch_step
    recipe = bench.recipe_of(SMALL)
    networks = [layers(SMALL, subnet) for subnet in (largest(SMALL), smallest(SMALL))]
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (4, 8, 8, 3), np.uint8), rng.integers(0, 3, 4)

    nets = torch_step.SharedNets(networks, "channels_last")
    inputs = torch_step.augmented(torch.from_numpy(images), recipe.augment)
    nets(1, inputs).sum().backward()  # of the smallest alone
    gradient = nets.weights["stage0/block0/expand/0.weight"].grad
    assert gradient[:8].abs().min() > 0 and gradient[8:].abs().max() == 0
    assert nets.weights["stage0/block1/expand/0.weight"].grad is None
    torch.testing.assert_close(nets(0, inputs), nets._nets[0](inputs))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more would wait for each other, over so little work
    for layout in LAYOUTS:
        torch.manual_seed(0)  # 80 steps lowered the loss by 0.2 or more with every seed of 20
        step = torch_step.training_step(
            networks, images, labels, layout, augment=recipe.augment, optimizer=recipe.optimizer,
            label_smoothing=recipe.label_smoothing)
        losses = [float(step()) for _ in range(80)]
        assert np.mean(losses[-5:]) < np.mean(losses[:5])
    torch.set_num_threads(threads)


@pytest.mark.long
def test_augmentation_in_torch_cuts_the_mirrored_border():
    torch = pytest.importorskip("torch", reason="needs torch, the extra `bench`")
    from deps_jax.data.augment import normalise
    from deps_jax.reference.torch_step import augmented
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    padded = np.asarray(normalise(jnp.asarray(padded), bench.PIXELS))[0]
    windows = {padded[i:i + 8, j:j + 8][:, ::step].round(3).tobytes()
               for i in range(9) for j in range(9) for step in (1, -1)}
    found = augmented(torch.from_numpy(np.repeat(images, 200, 0)), bench.PIXELS)
    assert found.is_contiguous(memory_format=torch.channels_last)
    seen = {image.round(3).tobytes() for image in found.permute(0, 2, 3, 1).numpy()}
    assert seen <= windows and len(seen) > 80
