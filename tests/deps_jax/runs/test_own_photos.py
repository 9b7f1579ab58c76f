"""Photos of one's own, from weights of other classes, another size and another program."""
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest
from tiny_run import tiny_config
from tiny_spaces import save_run

from deps_jax.common.files import sealed
from deps_jax.data.pipeline import eval_batches
from deps_jax.data.sources import ArraySource
from deps_jax.evaluation import linear_probe
from deps_jax.evaluation.linear_probe import fit_classifier
from deps_jax.evaluation.recalibration import Evaluator
from deps_jax.runs.evaluate_run import classifier_alone, evaluate_run
from deps_jax.runs.own_photos import BATCH, STEPS, Start, photos_config
from deps_jax.space.families import MOBILENET_V3, PROXYLESS
from deps_jax.space.subnet_text import decode
from deps_jax.supernet.convert import to_state_dict
from deps_jax.supernet.supernet import init
from deps_jax.training import experiment as experiments
from deps_jax.training.experiment import PROBE, Experiment, build_recipe, train

COLOURS = {"blue": (200, 40, 40), "green": (40, 200, 40), "red": (40, 40, 200)}


def take_photos(top, count, sizes=((12, 10), (9, 15))):
    """Noisy pictures of one colour in each class, of different sizes."""
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (top / name).mkdir(parents=True)
        for i in range(count):
            noise = random.normal(0, 25, (*sizes[i % 2], 3)) + colour
            cv2.imwrite(str(top / name / f"{i:02d}.png"), noise.clip(0, 255).astype(np.uint8))
    return top


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return take_photos(tmp_path_factory.mktemp("data") / "photos", 12)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A run on ten digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    save_run(folder, tiny_config())
    return folder


@pytest.fixture(scope="module")
def finished(photos, weights, tmp_path_factory):
    """A run of two steps on the photos."""
    folder = tmp_path_factory.mktemp("runs") / "photos"
    config = photos_config(photos, Start.of(weights), epochs=2.0)
    train(Experiment.from_dict(config), folder, config)
    return folder, evaluate_run(folder)


def test_settings_are_those_of_the_weights_and_of_so_many_photos(photos, weights):
    start = Start.of(weights)
    config = photos_config(photos, start)
    experiment = Experiment.from_dict(config)
    assert experiment.space.build(3).resolution == 8 and experiment.space.family == "two_stages"
    assert experiment.augment.mean == (0.31,) * 3  # what the weights are used to
    # 36 photos: 7 for test, 5 for validation
    assert config["data"]["validation_images"] == 5 and config["training"]["batch_size"] == 24
    assert config["training"]["epochs"] == STEPS and BATCH > 24
    assert config["evaluation"]["calibration_images"] == 24
    assert "digits are grey" in start.carried_over(8) and "used to" not in start.carried_over(8)
    assert "seen at 12 px, though the weights are used to 8 px" in start.carried_over(12)


@pytest.mark.parametrize(("epochs", "warmup"), [(1.0, 0.25), (2.0, 0.5), (10.0, 1.0)])
def test_the_warm_up_of_a_short_run_is_a_quarter(photos, weights, epochs, warmup):
    config = photos_config(photos, Start.of(weights), epochs=epochs)
    assert config["optimizer"]["warmup_epochs"] == warmup
    experiment = Experiment.from_dict(config)
    build_recipe(experiment, experiment.space.build(3), 24)  # refuses what does not fit


def test_every_accuracy_has_its_interval(finished):
    folder, said = finished
    results = sealed.read(folder / "evaluation" / "test" / "subnets.json", "")
    assert results["images"] == 7
    for row in results["subnets"]:
        assert row["top1_low"] <= row["top1"] <= row["top1_high"]
        assert f"{row['top1']:.2%} ({100 * row['top1_low']:.1f} to" in said
    assert "7 test images cannot tell 36% from 92%" in said
    page = (folder / "report.html").read_text()
    assert "7 test images cannot tell" in page and "each left out of its fit" in page
    assert f"of {sealed.read(folder / PROBE, '')['images']} training images" in classifier_alone(
        folder)["classifier_alone"]


def test_a_classifier_is_fitted_for_all_of_its_networks(weights, photos):
    """Colours are told apart by features of random weights; and what is fitted does so, too."""
    random = np.random.default_rng(0)
    labels = np.arange(30, dtype=np.int32) % 3
    pixels = random.normal(0, 20, (30, 8, 8, 3)) + np.array(list(COLOURS.values()))[
        labels][:, None, None]
    images = ArraySource(pixels.clip(0, 255).astype(np.uint8), labels)
    experiment = Experiment.from_dict(tiny_config())
    space = experiment.space.build(3)
    params, _ = init(jax.random.key(0), space)
    subnets = [decode(space, name) for name in ("smallest", "largest")]
    calibration = images.images[None, :20]
    probe = fit_classifier(space, experiment.augment, params, subnets, calibration, images,
                           tuple(COLOURS))
    assert probe.images == 30 and probe.right >= 27
    evaluator = Evaluator(space, experiment.augment)
    fitted = {**params, "classifier": probe.classifier}
    for subnet in subnets:
        statistics = evaluator.recalibrate(fitted, subnet, calibration)
        found = evaluator.evaluate(fitted, statistics, subnet, eval_batches(images, 20))
        assert found["top1"] >= 0.9


def test_the_first_process_alone_writes_how_the_classifier_does(tmp_path, monkeypatch):
    """Of several processes; `first_does` lets it."""
    monkeypatch.setattr(experiments, "first_does", lambda action: None)  # as in another process
    found = linear_probe.Probe({"kernel": 0}, right=3, images=4)
    monkeypatch.setattr(experiments, "fit_classifier", lambda *_: found)
    settings = Experiment.from_dict(tiny_config())
    space, splits = experiments.build(settings)
    assert experiments._fitted_classifier(settings, space, splits, {}, tmp_path) == {"kernel": 0}
    assert not list(tmp_path.iterdir())


def test_two_classes_become_two_outputs():
    features = np.random.default_rng(0).normal(size=(20, 4))
    labels = (features[:, 0] > 0).astype(int)
    model = linear_probe._model(1.0).fit(features, labels)
    layer = jax.device_get(linear_probe._as_parameters(model))
    logits = features @ layer["kernel"] + layer["bias"]
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], model.decision_function(features),
                               atol=1e-5)


@pytest.mark.parametrize(("space", "section"), [
    (MOBILENET_V3.with_choices(kernels=(3, 5, 7), kernel_transform=True, width_mult=0.25),
     {"family": "mobilenet_v3", "kernels": [3, 5, 7], "width_mult": 0.25,
      "kernel_transform": True}),
    (PROXYLESS.with_choices(width_mult=0.25), {"family": "proxyless", "kernels": [7],
                                               "width_mult": 0.25, "kernel_transform": False}),
], ids=["mobilenet_v3", "proxyless"])
def test_the_space_of_a_checkpoint_is_found(space, section, tmp_path, monkeypatch):
    monkeypatch.setattr("deps_jax.runs.own_photos.WIDTHS", (0.5, 0.25))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype),
                         jax.eval_shape(lambda: init(jax.random.key(0), space)))
    np.savez(tmp_path / "w.npz", **to_state_dict(space, *zeros))
    start = Start.of(tmp_path / "w.npz")
    assert start.space == {**section, "resolution": 224} and start.classes == 1000
    with pytest.raises(ValueError, match="fit resnet50d with none of the widths"):
        Start.of(tmp_path / "w.npz", "resnet50d")


@pytest.mark.parametrize(("change", "sentence"), [
    ({"photos": "nowhere"}, "--photos nowhere is no folder; give one with a folder of photos"),
    ({"weights": "nowhere"}, "--weights nowhere does not exist; give the folder of a training run"),
    ({"weights": "empty"}, "holds no experiment"),
    ({"epochs": -1.0}, "--epochs -1, --rate 0.02 and --resolution 0 must be above 0"),
    ({"photos": "few"}, "class 'red' has 1 training images once those for validation and test"),
])
def test_bad_input_is_one_sentence(photos, weights, tmp_path, monkeypatch, change, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    few = take_photos(tmp_path / "few", 4)
    for i in (1, 2, 3):
        (few / "red" / f"{i:02d}.png").unlink()
    with pytest.raises(ValueError, match=sentence) as error:
        photos_config(Path(change.get("photos", photos)), Start.of(
            Path(change.get("weights", weights))), epochs=change.get("epochs", 1.0))
    assert "\n" not in str(error.value)


def test_random_weights_have_nothing_to_fit_to():
    with pytest.raises(ValueError, match="random weights have no features"):
        Experiment.from_dict(tiny_config() | {"fit_classifier": True})
