"""Exported files of a supernet, compared on digits."""
import dataclasses
import errno
import hashlib
import json
import shutil
from pathlib import Path

import chex
import cv2
import numpy as np
import pytest
from tiny_run import tiny_config
from tiny_spaces import save_run

from deps_jax import run as classify
from deps_jax.common.files import sealed
from deps_jax.evaluation.certainty import is_known
from deps_jax.space.subnet_text import decode

pytest.importorskip("onnxruntime", reason="needs the extra export")
from deps_jax.export.export import ExportSettings, compare, doubts, export, verdict
from deps_jax.export.runtime import Model
from deps_jax.runs.trained import TrainedRun


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    save_run(folder, tiny_config())
    return TrainedRun.open(folder)


@pytest.fixture(scope="module")
def meter(trained):
    """What measures subnets, compiled once."""
    return trained.meter(trained.held_out("validation", 60))


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return export(trained, decode(trained.space, "d2e1"), folder, ExportSettings(images=60))


def test_export_keeps_what_the_supernet_computes(trained, exported, meter):
    check = exported.card["check"]
    assert not exported.failures and check["images"] == 60
    assert check["top1_low"] <= check["top1"] <= check["top1_high"]
    assert check["ok"] == is_known(check["top1"], 60) == (not exported.doubts)
    result, _ = meter(trained.params, decode(trained.space, "d2e1"))
    assert exported.card["check"]["top1"] == pytest.approx(result.top1)


@pytest.fixture(scope="module")
def trained_in_bfloat16(tmp_path_factory):
    """The same weights in a run that has trained in bfloat16."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    save_run(folder, tiny_config(**{"training.dtype": "bfloat16"}))
    return TrainedRun.open(folder)


def test_bfloat16_run_is_evaluated_and_exported_in_float32(trained, trained_in_bfloat16, meter,
                                                           tmp_path):
    subnet, other = decode(trained.space, "d1e2"), trained_in_bfloat16
    results = [meter(trained.params, subnet),
               other.meter(other.held_out("validation", 60))(other.params, subnet)]
    assert trained_in_bfloat16.experiment.training.dtype == "bfloat16"
    chex.assert_trees_all_equal(*(statistics for _, statistics in results))
    assert results[0][0] == results[1][0]
    asked = dataclasses.replace(trained_in_bfloat16, experiment=dataclasses.replace(
        trained.experiment, evaluation=dataclasses.replace(trained.experiment.evaluation,
                                                           dtype="bfloat16")))
    rounding = asked.meter(asked.held_out("validation", 60))
    assert rounding(asked.params, subnet)[0].loss != results[0][0].loss
    # The export is float32 all the same: it is checked against float32 logits and statistics.
    exported = export(asked, subnet, tmp_path, ExportSettings(images=60), meter=rounding)
    assert not exported.failures and exported.card["check"]["largest_difference"] < 1e-5


def test_card_tells_all_that_is_needed(exported):
    card = json.loads(exported.path.with_suffix(".json").read_text())
    assert card["classes"] == [str(i) for i in range(10)]
    assert card["size_bytes"] == exported.path.stat().st_size
    assert card["latency"]["p10_ms"] <= card["latency"]["median_ms"]
    assert card["training"]["calibration_images"] == 40
    assert exported.path.with_suffix(".batch_stats.npz").is_file()


@pytest.mark.parametrize("settings", [
    ExportSettings(precision="int8", images=60), ExportSettings(precision="fp16", images=60),
    ExportSettings(precision="int8_static", images=60),
    ExportSettings(format="stablehlo", images=60), ExportSettings(resolution=16, images=60),
], ids=["int8", "fp16", "int8_static", "stablehlo", "16px"])
def test_other_forms(trained, meter, tmp_path, settings):
    result = export(trained, decode(trained.space, "smallest"), tmp_path, settings,
                    meter=None if settings.resolution else meter)
    check = result.card["check"]
    # The weights are random, so logits are close to each other.
    least = 0.6 if settings.precision == "int8_static" else 0.8
    assert check["top1_agreement"] > least and check["ok"] == (result.verdict == "OK")


def test_picture_is_classified_from_the_card_alone(trained, exported, tmp_path, capsys):
    photo = tmp_path / "digit.png"
    pixels = trained.held_out("validation")[0]["image"]
    cv2.imwrite(str(photo), pixels[..., ::-1])
    assert classify.main([str(exported.path), str(photo), "--top", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    logits = Model(exported.path)([pixels])[0]
    assert len(lines) == 4 and lines[1].split()[-1] == str(logits.argmax())


def test_a_subnet_in_both_formats_has_a_card_for_each(trained, exported, meter, tmp_path, capsys):
    for settings in (ExportSettings(images=60), ExportSettings(format="stablehlo", images=60)):
        export(trained, decode(trained.space, "d2e1"), tmp_path, settings, meter=meter)
    photo, name = tmp_path / "digit.png", exported.path.stem
    cv2.imwrite(str(photo), trained.held_out("validation")[0]["image"])
    assert classify.main([str(tmp_path / f"{name}.onnx"), str(photo)]) == 0
    for model, card in ((f"{name}.onnx", f"{name}.json"),
                        (f"{name}.stablehlo", f"{name}.stablehlo.json")):
        assert json.loads((tmp_path / card).read_text())["model"] == model


@pytest.mark.parametrize(("option", "sentence"), [
    ("--top=-1", "--top -1 and --threads 1 must be 1 or more"),
    ("--threads=-2", "--top 5 and --threads -2 must be 1 or more")])
def test_run_refuses_numbers_that_show_nothing(exported, capsys, option, sentence):
    assert classify.main([str(exported.path), "photo.png", option]) == 2
    assert sentence in capsys.readouterr().err


def test_a_model_that_onnxruntime_cannot_read_is_one_sentence(exported, tmp_path, capsys):
    """Its checksum is right: it is for a later version, say."""
    model, content = tmp_path / "later.onnx", b"later"
    model.write_bytes(content)
    card = sealed.read(exported.path.with_suffix(".json"), "")
    sealed.write(tmp_path / "later.json", card | {"sha256": hashlib.sha256(content).hexdigest()})
    assert classify.main([str(model), "photo.png"]) == 2
    told = capsys.readouterr().err
    assert f"cannot read {model}" in told and "update onnxruntime" in told
    assert len(told.splitlines()) == 1


def test_a_model_that_may_not_be_read_is_one_sentence(exported, capsys, monkeypatch):
    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert classify.main([str(exported.path), "photo.png"]) == 2
    assert f"{exported.path} cannot be used (Permission denied)" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [".onnx", ".json"])
@pytest.mark.parametrize("damage", [lambda data: data[:len(data) // 2],
                                    lambda data: data.replace(b"0.3", b"0.4", 1)
                                    if b"0.31" in data else data[:-9] + bytes(9)],
                         ids=["truncated", "changed"])
def test_a_damaged_model_or_card_is_named(exported, tmp_path, capsys, ending, damage):
    for path in (exported.path, exported.path.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    model = tmp_path / exported.path.name
    path = model.with_suffix(ending)
    path.write_bytes(damage(path.read_bytes()))
    assert classify.main([str(model), "photo.png"]) == 2
    told = capsys.readouterr().err
    assert f"{path} is damaged" in told and len(told.splitlines()) == 1


@pytest.mark.parametrize(("missing", "sentence"), [
    ("model", "nothing.onnx does not exist"), ("photo", "nothing.png does not exist"),
    ("card", "digits.json does not exist; the card of the model is written by"),
])
def test_run_names_the_missing_file(exported, tmp_path, capsys, missing, sentence):
    model, photo = exported.path, tmp_path / "nothing.png"
    if missing == "model":
        model = tmp_path / "nothing.onnx"
    elif missing == "card":
        model = tmp_path / "digits.onnx"
        model.write_bytes(exported.path.read_bytes())
    assert classify.main([str(model), str(photo)]) == 2
    assert sentence in capsys.readouterr().err


def test_file_that_computes_something_else_is_not_ok():
    from deps_jax.data.sources import ArraySource

    rng = np.random.default_rng(0)
    held_out = ArraySource(rng.integers(0, 256, (50, 4, 4, 3), np.uint8), np.arange(50) % 5)
    expected = rng.standard_normal((50, 5)).astype(np.float32)
    answers = iter(np.split(expected[:, ::-1], 1))
    _, failures = compare(lambda _: next(answers), held_out, expected, "fp32")
    assert len(failures) == 2 and "logits differ by up to" in failures[0]


@pytest.mark.parametrize(("precision", "images", "right", "agreeing", "sentences"), [
    ("fp32", 500, 350, 500, ()), ("fp32", 10, 10, 10, ("hold 35 or more",)),
    ("fp32", 18, 15, 18, ("known as 83.33% (60.8 to 94.2) only, on 18 images; hold 213",)),
    ("int8", 10_000, 7000, 9850, ()), ("int8", 500, 350, 492, ("shows that 96.9% do, int8 needs",)),
    ("int8", 100, 98, 100, ("shows that 96.3% do, int8 needs 98.0%; check on 189 images",)),
    ("int8", 500, 350, 400, ()),  # is NOT OK by itself
], ids=str)
def test_ok_is_said_where_images_suffice(precision, images, right, agreeing, sentences):
    unsure = doubts({"images": images, "top1": right / images,
                     "top1_agreement": agreeing / images}, precision)
    assert len(unsure) == len(sentences)
    assert all(part in told for part, told in zip(sentences, unsure, strict=True))
    assert verdict([], unsure) == "\n".join(f"UNSURE: {told}" for told in unsure) or "OK"
    assert verdict(["why"], unsure).startswith("NOT OK: why")


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"precision": "int4"}, "'int4' is unknown; use one of"),
    ({"format": "tflite"}, "'tflite' is unknown; use one of"),
    ({"format": "stablehlo", "precision": "int8"}, "choose onnx for other precisions"),
])
def test_bad_settings(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        ExportSettings(**settings)


def test_empty_calibration_folder_is_refused_at_once(trained, tmp_path):
    settings = ExportSettings(precision="int8_static", calibration_dir=str(tmp_path))
    with pytest.raises(ValueError, match="holds no images; give a folder with files such as"):
        export(trained, decode(trained.space, "smallest"), tmp_path, settings)
