"""One subnet trained on alone, from a run whose weights are known."""
import chex
import jax
import numpy as np
import pytest
from tiny_run import tiny_config
from tiny_spaces import save_run

from deps_jax.common.loop.batches import Order
from deps_jax.common.loop.run import Run
from deps_jax.data import load
from deps_jax.data.sources import ArraySource, Splits, TfdsSource
from deps_jax.runs.finetune import finetune_config
from deps_jax.runs.trained import TrainedRun
from deps_jax.space.subnet_text import decode
from deps_jax.supernet.initial_weights import initial_weights
from deps_jax.training import run_records
from deps_jax.training.experiment import Experiment, build, train
from deps_jax.training.trainer import Trainer


@pytest.fixture(scope="module")
def supernet_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    save_run(folder, tiny_config(**{"data.validation_images": 100}))
    return TrainedRun.open(folder)


@pytest.fixture(scope="module")
def tuned(supernet_run, tmp_path_factory):
    config = finetune_config(supernet_run.folder, "d1e2", epochs=0.6)
    folder = tmp_path_factory.mktemp("runs") / "tuned"
    train(Experiment.from_dict(config), folder, config)
    return TrainedRun.open(folder)


def test_only_this_subnet_learns(supernet_run, tuned):
    assert tuned.step == 3
    rate = tuned.experiment.optimizer.weight_decay * tuned.experiment.optimizer.learning_rate
    moved = jax.tree.map(lambda old, new: float(np.abs(new - old).max()), supernet_run.params,
                         tuned.params)
    assert moved["stem"]["kernel"] > 100 * rate
    # The second block of a stage is not in d1e2: weight decay alone touches it.
    assert all(change <= 10 * rate for change in jax.tree.leaves(moved["stage1"]["rest"]))


def test_it_is_a_run_of_one_subnet(supernet_run, tuned):
    assert tuned.chosen("") == "d1e2k3"
    tuned.check_trained(decode(tuned.space, "d1e2"))
    with pytest.raises(ValueError, match="has trained d1e2k3 alone, not d2e2k3; use the run that"):
        tuned.check_trained(decode(tuned.space, "largest"))
    with pytest.raises(ValueError, match="alone, not the space"):
        tuned.check_trained()
    with pytest.raises(ValueError, match="is itself the fine-tuning of d1e2k3"):
        finetune_config(tuned.folder, "d1e2", epochs=1)
    with pytest.raises(ValueError, match="name a subnet"):
        supernet_run.chosen("")


def test_settings_are_those_of_the_run_but_for_the_rate(supernet_run):
    config = finetune_config(supernet_run.folder, "d1e2@16", epochs=3, rate=0.5)
    old, new = supernet_run.config, config
    assert new["optimizer"]["learning_rate"] == 0.5 * old["optimizer"]["learning_rate"]
    assert new["space"]["resolution"] == 16 and new["training"]["epochs"] == 3
    assert new["training"]["resolutions"] == []  # one subnet is trained for one resolution
    assert new["data"] == {**old["data"], "resolution": 8}
    assert (new["augment"], new["seed"]) == (old["augment"], old["seed"])
    same = finetune_config(supernet_run.folder, "d1e2", epochs=3)
    assert same["data"] == old["data"]


def test_what_the_config_leaves_to_defaults_is_scaled_too(tmp_path):
    config = tiny_config()
    del config["optimizer"]["learning_rate"], config["optimizer"]["min_learning_rate"]
    del config["evaluation"]
    save_run(tmp_path, config)
    new = finetune_config(tmp_path, "d1e2", epochs=3, rate=0.5)
    assert new["evaluation"] == {"subnets": ["d1e2k3"]}
    tuned, optimizer = Experiment.from_dict(new).optimizer, Experiment.from_dict(config).optimizer
    assert tuned.learning_rate == 0.5 * optimizer.learning_rate > 0
    assert tuned.min_learning_rate == 0.5 * optimizer.min_learning_rate > 0


@pytest.fixture
def photos(monkeypatch):
    """A data set that comes in one size, 12 px, as CIFAR comes in 32."""
    generator = np.random.default_rng(0)
    train, held_out = (
        TfdsSource(ArraySource(generator.integers(0, 256, (n, 12, 12, 3), np.uint8),
                               np.arange(n, dtype=np.int32) % 10), part)
        for part, n in (("train", 60), ("test", 20)))
    splits = Splits(train, held_out, held_out, tuple("0123456789"))
    monkeypatch.setattr(load, "tfds", lambda *_, **__: splits)
    monkeypatch.setattr(run_records, "listing", lambda _: {"files": {}, "facts": {}})
    return {"data.name": "cifar10", "data.train_images": 0, "space.resolution": 12}


def test_another_resolution_trains_on_the_pixels_that_a_search_measures(photos, tmp_path,
                                                                        monkeypatch):
    save_run(tmp_path / "run", tiny_config(**photos))
    searched = TrainedRun.open(tmp_path / "run")
    images = lambda run, part: run.meter(getattr(run.splits, part), resolution=8).held_out.images
    config = finetune_config(searched.folder, "d1e2@8", epochs=1)
    monkeypatch.setattr(Trainer, "compile", lambda *_: None)
    monkeypatch.setattr(Run, "fit", lambda run, *_, **__: next(run.batches))
    batch = train(Experiment.from_dict(config), tmp_path / "tuned", config)
    order = Order(60, 20, config["seed"])
    np.testing.assert_array_equal(batch["image"],
                                  images(searched, "train")[[order[i] for i in range(20)]])
    save_run(tmp_path / "tuned", config)  # as training would have left it
    tuned = TrainedRun.open(tmp_path / "tuned")
    assert tuned.space.resolution == 8
    np.testing.assert_array_equal(images(tuned, "validation"), images(searched, "validation"))


def test_digits_too_are_resized_from_what_the_run_was_trained_on(supernet_run):
    config = finetune_config(supernet_run.folder, "d1e2@16", epochs=1)
    _, splits = build(Experiment.from_dict(config))
    assert splits.train[0]["image"].shape == (8, 8, 3)


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"name": "d9e2", "epochs": 1}, "depth 9 is not in"),
    ({"name": "d1e2", "epochs": 0}, "epochs 0 and rate 0.4 must be above 0"),
])
def test_bad_questions(supernet_run, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        finetune_config(supernet_run.folder, **arguments)


def test_a_subnet_needs_plain_training():
    with pytest.raises(ValueError, match="'d1e2' is to be trained alone, but method 'deps'"):
        Experiment.from_dict(tiny_config(subnet="d1e2"))


@pytest.mark.parametrize("classes", [10, 7])
def test_a_run_is_a_start_for_other_classes_too(supernet_run, classes, capsys):
    space = build(supernet_run.experiment)[0].with_choices(num_classes=classes)
    weights = initial_weights(str(supernet_run.folder), space)
    assert ("classifier" in weights["params"]) == (classes == 10)
    assert ("left out" in capsys.readouterr().out) == (classes == 7)
    chex.assert_trees_all_equal(weights["params"]["stage1"], supernet_run.params["stage1"])


def test_what_is_no_start(supernet_run, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "fit", None)  # nothing is trained
    for changes, sentence in (({}, "holds no experiment"),
                              ({"space.width_mult": 0.5}, "needs with width_mult 0.5")):
        source = supernet_run.folder if changes else tmp_path
        config = tiny_config(init_from=str(source), **changes)
        with pytest.raises(ValueError, match=sentence):
            train(Experiment.from_dict(config), tmp_path / "run", config)
