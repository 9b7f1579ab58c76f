"""What a clip takes on a device, out of a latency table with whole files in it."""
import dataclasses
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("onnx", reason="ONNX is not installed (extra 'export')")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
import onnx
from elastic_nurture import SPACE, elastic
from make_batches import FRAMES, PLAIN, SIZE

from deps_jax.export import device_timer
from deps_jax.search.latency import CALL, LatencyTable, TimingPlan, write_kit
from deps_jax.space.subnet import largest, smallest, stack
from deps_jax.space.subnet_text import decode, encode
from nurture_jax.deploy.clip_latency import ClipLatency, ToTime, model_name, timed_names
from nurture_jax.deploy.export import predicted
from nurture_jax.network.backbone_weights import of_subnet
from nurture_jax.network.backbones import ResNet
from nurture_jax.records.video import ClipSettings

PLAN, CLIP, SETTINGS = TimingPlan(SPACE, SIZE), ClipSettings(FRAMES, SIZE), elastic().settings
PER_FRAME, REST_MS = 1.3, 5.0  # of a device that does exactly what is assumed
DEVICE = {"processor": "a phone", "threads": 1, "onnxruntime": "1.0"}


def timings(clips=()):
    both = lambda ms: {"p10_ms": ms, "median_ms": 1.1 * ms}
    pieces = {name: 0.02 + 0.01 * i for i, name in enumerate(sorted(PLAN.pieces()))}
    whole = [name for names in PLAN.networks() for name in names]
    found = {CALL: both(0.002), **{name: both(ms) for name, ms in pieces.items()},
             **{f"net {name}": both(0.5 + 0.001 * len(name)) for name in whole}}
    return {"device": DEVICE, "latencies": found | {name: both(ms) for name, ms in clips}}


@pytest.fixture(scope="module")
def table():
    predict = LatencyTable.fit(PLAN, timings()).predictor(SPACE)
    names = [name for names in timed_names(SPACE) for name in names]
    one = predict(stack([decode(SPACE, name) for name in names]))
    clips = [(model_name(FRAMES, SETTINGS, name), FRAMES * PER_FRAME * ms + REST_MS)
             for name, ms in zip(names, one.tolist(), strict=True)]
    return LatencyTable.fit(PLAN, timings(clips))


def test_two_numbers_are_found_and_checked_on_networks_that_were_not_fitted(table):
    found = ClipLatency.of(table, CLIP, SETTINGS)
    np.testing.assert_allclose([found.per_frame, found.rest_ms], [PER_FRAME, REST_MS], rtol=1e-5)
    small, full = (found.of_subnet(one(SPACE)) for one in (smallest, largest))
    np.testing.assert_allclose(full, table.latencies[model_name(FRAMES, SETTINGS, encode(
        SPACE, largest(SPACE)))]["p10_ms"], rtol=1e-5)
    assert small < full and len(found.held_out) == len(timed_names(SPACE)[1]) > 0
    for row in found.held_out:
        np.testing.assert_allclose(row["predicted_ms"], row["measured_ms"], rtol=1e-5)
        assert row["subnet"] in found.summary() and "0.0%" in found.summary()


def test_the_file_is_a_latency_table_as_any_other(table, tmp_path):
    path = tmp_path / "phone.json"
    table.save(path)
    found = ClipLatency.load(path, CLIP, SETTINGS)
    np.testing.assert_allclose(found.rest_ms, REST_MS, rtol=1e-5)
    assert LatencyTable.load(path) == table


def test_a_backbone_is_found_by_what_it_is(table):
    found = ClipLatency.of(table, CLIP, SETTINGS)
    name = encode(SPACE, smallest(SPACE))
    backbone = of_subnet(SPACE, smallest(SPACE))
    assert found.of_backbone(backbone, name) == found.of_subnet(smallest(SPACE))
    for other, name in ((backbone, "largest"), (ResNet(10, 4), "largest"), (backbone, "d9e9")):
        with pytest.raises(ValueError, match=r"backbone '\w+' of this run is none of them; make "
                                             r"one with launch\.nurture_latency"):
            found.of_backbone(other, name)


def test_an_export_asks_the_table_for_its_network(table, tmp_path):
    table.save(tmp_path / "phone.json")
    run = lambda backbone: SimpleNamespace(
        clip=CLIP, model=SimpleNamespace(backbone=backbone, settings=SETTINGS),
        experiment=SimpleNamespace(backbone=SimpleNamespace(subnet="smallest")))
    found = predicted(run(of_subnet(SPACE, smallest(SPACE))), str(tmp_path / "phone.json"))
    ms = ClipLatency.of(table, CLIP, SETTINGS).of_subnet(smallest(SPACE))
    assert found == {"clip_ms": ms, "device": DEVICE}
    with pytest.raises(ValueError, match="of this run is none of them"):
        predicted(run(ResNet(10, 4)), str(tmp_path / "phone.json"))
    with pytest.raises(ValueError, match=r"nothing\.json does not exist"):
        predicted(run(ResNet(10, 4)), "nothing.json")


@pytest.mark.parametrize(("clip", "settings", "message"), [
    (ClipSettings(FRAMES, 2 * SIZE), SETTINGS, r"is of 32 px, clips have 64; make one"),
    (ClipSettings(FRAMES + 1, SIZE), SETTINGS, r"has no 'clip of 3 frames, .*another length"),
    (CLIP, dataclasses.replace(SETTINGS, neck_width=4), r"has no 'clip .* other model settings")])
def test_tables_of_other_clips_are_refused(table, clip, settings, message):
    with pytest.raises(ValueError, match=message):
        ClipLatency.of(table, clip, settings)


def test_what_only_training_has_does_not_count():
    trained_otherwise = dataclasses.replace(SETTINGS, dropout_rate=0.3, dtype="bfloat16")
    assert model_name(2, trained_otherwise, "a") == model_name(2, SETTINGS, "a")


def test_whole_files_are_timed_by_a_timer_that_knows_nothing_of_clips(tmp_path):
    """In a space of a single network, to save the time of tracing the others."""
    one = dataclasses.replace(SPACE, stages=tuple(
        dataclasses.replace(stage, depths=stage.depths[:1], kernels=stage.kernels[:1],
                            expands=stage.expands[:1]) for stage in SPACE.stages))
    asked = ToTime(dataclasses.replace(PLAN, space=one), elastic(), PLAIN, CLIP)
    clips = asked.clips()
    assert len(clips) == 1 and all(name.startswith(f"clip of {FRAMES} frames, ") for name in clips)
    for content in clips.values():
        shape = onnx.load_from_string(content).graph.input[0].type.tensor_type.shape
        assert [size.dim_value for size in shape.dim] == [1, FRAMES, SIZE, SIZE, 3]
    measured = device_timer.measure(clips, rounds=1, slice_ms=0.1)
    assert all(row["p10_ms"] > 0 for row in measured.values())
    write_kit(tmp_path / "kit.zip", asked.plan, clips)
    with zipfile.ZipFile(tmp_path / "kit.zip") as kit:
        names = kit.read("models/names.json").decode()
    assert all(name in names for name in clips) and CALL in names
