"""Clips decoded once: complete, resumable, never stale; batches with their masks."""
import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pandas", reason="pandas is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import write_records
from make_videos import write_video

from nurture_jax import clip_cache, records
from nurture_jax.clip_batches import (
    LABELS,
    TABULAR,
    ClipBatches,
    ClipSource,
    clip_mask,
    eval_batches,
)
from nurture_jax.video import ClipSettings, sample_clip

SETTINGS = ClipSettings(frames=4, size=32)
SMALL = dict(visits_per_shard=3)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return records.load(write_records(tmp_path_factory.mktemp("data") / "set"))


@pytest.fixture(scope="module")
def cache(found, tmp_path_factory):
    return clip_cache.build(found, tmp_path_factory.mktemp("cache"), SETTINGS, **SMALL)


def decoded(monkeypatch):
    """Names of the videos decoded from now on."""
    names = []

    def watched(path, *arguments, **options):
        names.append(path.name)
        return sample_clip(path, *arguments, **options)

    monkeypatch.setattr(clip_cache, "sample_clip", watched)
    return names


def test_cached_equals_decoded(found, cache):
    assert len(cache) == 8
    for i in (7, 0, 3):
        visit = found.visits[i]
        fresh = sample_clip(found.folder / visit.video, 4, 32,
                            exact_times_s=[frame.time_s for frame in visit.frames])
        for field in dataclasses.fields(fresh):
            np.testing.assert_array_equal(getattr(cache[i], field.name),
                                          getattr(fresh, field.name))


def test_nothing_is_decoded_twice_and_a_build_resumes(found, tmp_path, monkeypatch):
    names = decoded(monkeypatch)
    clip_cache.build(found, tmp_path, SETTINGS, **SMALL)
    assert len(names) == 8
    clip_cache.build(found, tmp_path, SETTINGS, **SMALL)
    assert len(names) == 8
    side = sorted(tmp_path.glob("*.json"))[0]
    lost = len(json.loads(side.read_text())["visits"])
    side.unlink()  # as if it had been interrupted
    (tmp_path / "clips-0.part").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"is not complete \(1 of 3 parts are missing\); build"):
        clip_cache.open_cache(found, tmp_path, SETTINGS, **SMALL)
    clip_cache.build(found, tmp_path, SETTINGS, **SMALL)
    assert len(names) == 8 + lost
    assert len(list(tmp_path.iterdir())) == 6


def test_a_failed_build_leaves_nothing_half(found, tmp_path, monkeypatch):
    calls = itertools.count()

    def failing(*arguments, **options):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return sample_clip(*arguments, **options)

    monkeypatch.setattr(clip_cache, "sample_clip", failing)
    with pytest.raises(KeyboardInterrupt):
        clip_cache.build(found, tmp_path, SETTINGS, **SMALL)
    assert len(list(tmp_path.glob("*.json"))) == 1
    cache = clip_cache.build(found, tmp_path, SETTINGS, **SMALL)
    assert len(cache) == 8 and not list(tmp_path.glob("*.part"))


def test_a_stale_cache_is_refused_and_rebuilt(found, tmp_path):
    folder = shutil.copytree(found.folder, tmp_path / "set")
    now = records.load(folder)
    clip_cache.build(now, tmp_path / "cache", SETTINGS, **SMALL)
    for settings in (ClipSettings(4, 40), ClipSettings(4, 32, "letterbox"), ClipSettings(3, 32)):
        with pytest.raises(ValueError, match="was made of other videos or settings"):
            clip_cache.open_cache(now, tmp_path / "cache", settings, **SMALL)
    write_video(folder / "videos/n3_1.mp4", times_s=np.arange(40) / 15)
    with pytest.raises(ValueError, match=r"other videos or settings \(1 of 3 parts"):
        clip_cache.open_cache(now, tmp_path / "cache", SETTINGS, **SMALL)
    again = clip_cache.build(now, tmp_path / "cache", SETTINGS, **SMALL)
    assert again[7].times_s[-1] > 2
    assert len(list((tmp_path / "cache").iterdir())) == 6


def test_a_video_that_fails_late_is_left_out(found, tmp_path):
    folder = shutil.copytree(found.folder, tmp_path / "set")
    now = records.load(folder)
    path = folder / "videos/n2_0.mp4"
    data = bytearray(path.read_bytes())
    data[100:len(data) // 2] = bytes(len(data) // 2 - 100)
    path.write_bytes(bytes(data))
    cache = clip_cache.build(now, tmp_path / "cache", SETTINGS, **SMALL)
    assert len(cache) == len(cache.records) == 7
    assert [out.visit for out in cache.left_out] == ["n2/0"]
    assert cache.records.visits[4].key == "n2/1"
    path.unlink()
    with pytest.raises(ValueError, match=r"n2_0.mp4 is gone since the records were read"):
        clip_cache.open_cache(now, tmp_path / "cache", SETTINGS, **SMALL)


def test_worker_processes_give_the_same(found, cache, tmp_path):
    other = clip_cache.build(found, tmp_path, SETTINGS, workers=2, **SMALL)
    for i in range(8):
        np.testing.assert_array_equal(other[i].images, cache[i].images)


def test_batches(cache):
    source = ClipSource(cache)
    batch = next(ClipBatches(source, 4, seed=0))
    shapes = {name: value.shape for name, value in batch.items()}
    assert shapes == {
        "frames": (4, 4, 32, 32, 3), "tabular": (4, 4), "tabular_mask": (4, 4), "labels": (4, 4),
        "labels_mask": (4, 4), "masks": (4, 4, 8, 8), "keypoints": (4, 4, 19, 3),
        "annotated": (4, 4), "example_mask": (4,), "index": (4,)}
    assert batch["frames"].dtype == np.uint8 and batch["labels"].dtype == np.float32
    for row in range(4):
        visit = cache.records.visits[batch["index"][row]]
        for names, values, mask in ((LABELS, "labels", "labels_mask"),
                                    (TABULAR[:3], "tabular", "tabular_mask")):
            for column, name in enumerate(names):
                expected = getattr(visit, name)
                assert batch[mask][row, column] == (expected is not None)
                assert batch[values][row, column] == (expected or 0)
        assert batch["tabular"][row, 3] == (visit.sex == "M")


def test_order_is_seeded_and_the_state_resumes(cache):
    indices = lambda batches, count: [next(batches)["index"].tolist() for _ in range(count)]
    first = indices(ClipBatches(ClipSource(cache), 3, seed=1), 5)
    assert first == indices(ClipBatches(ClipSource(cache), 3, seed=1), 5)
    assert first != indices(ClipBatches(ClipSource(cache), 3, seed=2), 5)
    batches = ClipBatches(ClipSource(cache), 3, seed=1)
    indices(batches, 2)
    state = batches.iterator.get_state()
    again = ClipBatches(ClipSource(cache), 3, seed=1)
    again.iterator.set_state(state)
    assert indices(again, 3) == first[2:]
    epoch = indices(ClipBatches(ClipSource(cache), 4, seed=1), 2)
    assert sorted(itertools.chain(*epoch)) == list(range(8))


def test_annotated_frames_carry_masks_and_keypoints(cache):
    example = ClipSource(cache)[0]
    # Of 4 frames, two were replaced by the annotated ones.
    assert example["annotated"].sum() == 2
    drawn = int(np.argmax(example["keypoints"][..., 2].sum(1) > 0))
    clip = cache[0]
    assert clip.times_s[drawn] == pytest.approx(9 / 15, abs=2e-3)
    # Shown 96 x 64 -> 48 x 32, and 8 px cut off at the left.
    x, y, v = example["keypoints"][drawn][1]
    assert (x, y, v) == (0, 0, 0)  # (12, 13) falls outside the crop
    x, y, v = example["keypoints"][drawn][10]
    assert (x, y, v) == pytest.approx((30 / 2 - 8, 22 / 2, 2))
    assert example["masks"][drawn][6, 4] == 2 and example["masks"][drawn][3, 0] == 1
    assert example["masks"][drawn].max() == 2
    assert not ClipSource(cache)[1]["annotated"].any()


def test_masks_follow_the_affine():
    mask = np.zeros((64, 96), np.uint8)
    mask[20:36, 40:72] = 1
    affine = np.array([[0.5, 0, -8], [0, 0.5, 0]], np.float32)
    small = clip_mask(mask, affine, 32, 2)
    expected = np.zeros((16, 16), np.uint8)
    expected[5:9, 6:14] = 1
    np.testing.assert_array_equal(small, expected)


def test_evaluation_sees_every_visit_once(cache):
    batches = list(eval_batches(ClipSource(cache), 3))
    assert [batch["frames"].shape[0] for batch in batches] == [3, 3, 3]
    real = np.concatenate([batch["index"][batch["example_mask"] > 0] for batch in batches])
    assert real.tolist() == list(range(8))
    assert not batches[-1]["labels_mask"][2].any()


def test_splits_of_a_cache(cache):
    part = cache.of_infants(["n1", "n3"])
    assert len(part) == 4 and {visit.infant_id for visit in part.records.visits} == {"n1", "n3"}
    np.testing.assert_array_equal(part[2].images, cache[6].images)


def test_arguments(found, cache):
    with pytest.raises(ValueError, match="batch size 9 does not fit 8 visits; use 1 to 8"):
        ClipBatches(ClipSource(cache), 9, seed=0)
    with pytest.raises(ValueError, match="mask stride 5 does not divide the clip size 32 px"):
        ClipSource(cache, mask_stride=5)
    with pytest.raises(ValueError, match="visits_per_shard 0 is not positive"):
        clip_cache.build(found, cache.paths[0] + "x", SETTINGS, visits_per_shard=0)
