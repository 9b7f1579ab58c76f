"""Clips decoded once: complete, resumable, never stale; batches with their masks."""
import dataclasses
import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import flags

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import write_records
from make_videos import write_video
from other_process import holding

from deps_jax.common.files import locks
from nurture_jax import records
from nurture_jax.clinic.recording_gate import inspect
from nurture_jax.clips import clip_cache
from nurture_jax.clips.clip_batches import ClipBatches, ClipSource, clip_mask, eval_batches
from nurture_jax.measures import LABELS, TABULAR
from nurture_jax.records.video import ClipSettings, on_exact_frames, sample_clip
from nurture_jax.records.visit import Visit

SETTINGS = ClipSettings(frames=4, size=32)
SMALL = dict(visits_per_shard=3)
PARTS = 4  # of eight visits, two of an infant each: ids decide it
ROOT = Path(__file__).parents[3]


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


def end_of_the_process():
    """What the system does then: it gives the locks back."""
    for lock in locks._USED.values():
        lock.release_read_lock()
    locks._USED.clear()


def files(folder):
    return sorted(path.name for path in folder.rglob("clips-*"))


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
    side = sorted(tmp_path.rglob("*.json"))[0]
    lost = len(json.loads(side.read_text())["visits"])
    side.unlink()  # as if it had been interrupted
    (side.parent / "clips-0.7.part").write_bytes(b"half")
    with pytest.raises(ValueError, match=rf"\(1 of {PARTS} parts are missing\); build it"):
        clip_cache.open_cache(found, tmp_path, SETTINGS, **SMALL)
    end_of_the_process()
    clip_cache.build(found, tmp_path, SETTINGS, **SMALL)
    assert len(names) == 8 + lost
    assert len(files(tmp_path)) == 2 * PARTS


def test_a_child_that_is_taken_out_has_no_other_decoded_again(found, tmp_path, monkeypatch):
    names = decoded(monkeypatch)
    whole = clip_cache.build(found, tmp_path, SETTINGS, **SMALL)
    for gone in ("n0", "n2"):
        names.clear()
        fewer = dataclasses.replace(found, visits=tuple(
            visit for visit in found.visits if visit.infant_id != gone))
        end_of_the_process()
        assert len(clip_cache.build(fewer, tmp_path, SETTINGS, **SMALL)) == 6 and not names
        end_of_the_process()
        clip_cache.build(found, tmp_path, SETTINGS, **SMALL)
        assert len(names) == 2  # it is back: the shard of its own two
    turned = dataclasses.replace(found, visits=found.visits[::-1])
    names.clear()
    again = clip_cache.build(turned, tmp_path, SETTINGS, **SMALL)
    assert not names and again.records.visits == found.visits[::-1]
    np.testing.assert_array_equal(again[0].images, whole[7].images)


def test_of_many_visits_a_shard_at_most_is_decoded_again():
    visits = [Visit(f"n{i}", str(j), "") for i in range(200) for j in range(3)]

    def shards(visits):
        ranked = sorted((clip_cache._rank(visit), visit.key) for visit in visits)
        return {tuple(key for _, key in group) for group in clip_cache._groups(ranked, 16)}

    whole = shards(visits)
    assert sum(map(len, whole)) == 600 and max(map(len, whole)) <= 16
    assert len(whole) <= 600 / 8
    for i in range(0, 200, 7):
        fewer = shards([visit for visit in visits if visit.infant_id != f"n{i}"])
        assert sum(map(len, fewer - whole)) <= 16


def test_a_failed_build_leaves_nothing_half(found, tmp_path, monkeypatch):
    calls = itertools.count()

    def failing(*arguments, **options):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return sample_clip(*arguments, **options)

    monkeypatch.setattr(clip_cache, "sample_clip", failing)
    with pytest.raises(KeyboardInterrupt):
        clip_cache.build(found, tmp_path, SETTINGS, **SMALL)
    assert len(list(tmp_path.rglob("*.json"))) == 2 and not list(tmp_path.rglob("*.part"))
    end_of_the_process()
    cache = clip_cache.build(found, tmp_path, SETTINGS, **SMALL)
    assert len(cache) == 8


def test_a_stale_cache_is_refused_and_rebuilt(found, tmp_path):
    folder = shutil.copytree(found.folder, tmp_path / "set")
    now = records.load(folder)
    clip_cache.build(now, tmp_path / "cache", SETTINGS, **SMALL)
    for settings in (ClipSettings(4, 40), ClipSettings(4, 32, "letterbox"), ClipSettings(3, 32),
                     ClipSettings(4, 32, minimum_s=0.5)):
        with pytest.raises(ValueError, match=rf"is not complete \({PARTS} of {PARTS} parts"):
            clip_cache.open_cache(now, tmp_path / "cache", settings, **SMALL)
    write_video(folder / "videos/n3_1.mp4", times_s=np.arange(40) / 15)
    with pytest.raises(ValueError, match=rf"was made of other videos \(1 of {PARTS} parts"):
        clip_cache.open_cache(now, tmp_path / "cache", SETTINGS, **SMALL)
    end_of_the_process()
    again = clip_cache.build(now, tmp_path / "cache", SETTINGS, **SMALL)
    assert again[7].times_s[-1] > 2
    assert len(files(tmp_path)) == 2 * PARTS


def test_builds_leave_what_others_read(found, tmp_path):
    """Other settings, an earlier state of the data set that a run still reads, another data set."""
    folder, cache = shutil.copytree(found.folder, tmp_path / "set"), tmp_path / "cache"
    early = clip_cache.build(records.load(folder), cache, SETTINGS, **SMALL)
    clip_cache.build(found, cache, ClipSettings(frames=3, size=32), **SMALL)
    write_video(folder / "videos/n3_1.mp4", times_s=np.arange(40) / 15)
    now = records.load(folder)
    program = (f"from nurture_jax import records; from nurture_jax.clips import clip_cache; "
               f"from nurture_jax.records.video import *; "
               f"clip_cache.build(records.load({str(folder)!r}), {str(cache)!r}, {SETTINGS!r}, "
               f"visits_per_shard=3)")
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    assert early[7].times_s[-1] < 2  # read only now
    assert len(files(cache)) == 2 * (PARTS + PARTS + 1)
    end_of_the_process()
    clip_cache.build(found, cache, SETTINGS, **SMALL)  # found again what the copy had decoded
    assert len(files(cache)) == 2 * (PARTS + PARTS + 1)
    end_of_the_process()
    clip_cache.build(now, cache, SETTINGS, **SMALL)
    assert len(files(cache)) == 2 * (PARTS + PARTS)


def test_a_second_build_waits_and_decodes_nothing(found, tmp_path, monkeypatch, capsys):
    names, printed = decoded(monkeypatch), print
    own = clip_cache.own_folder(tmp_path, SETTINGS)
    own.mkdir()
    with holding(own / locks.ALONE) as first:
        def finish(*words, **options):
            printed(*words, **options)
            for shard in clip_cache._plan(found, SETTINGS, 3):
                clip_cache._write_shard(shard, str(own))
            first.kill()

        monkeypatch.setattr("builtins.print", finish)
        assert len(clip_cache.build(found, tmp_path, SETTINGS, **SMALL)) == 8
    assert len(names) == 8
    assert "waiting for another run that decodes videos into" in capsys.readouterr().out


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


@pytest.mark.skipif(os.name != "posix", reason="this system has no such modes")
def test_nobody_else_reads_the_clips(found, tmp_path):
    clip_cache.build(found.of_infants(["n0"]), tmp_path / "cache", SETTINGS)
    own, = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    own.chmod(0o750)  # somebody has opened it for a group
    clip_cache.build(found, tmp_path / "cache", SETTINGS)
    assert stat.S_IMODE(own.stat().st_mode) == 0o750


def test_worker_processes_give_the_same(found, cache, tmp_path):
    other = clip_cache.build(found, tmp_path, SETTINGS, workers=2, **SMALL)
    for i in range(8):
        np.testing.assert_array_equal(other[i].images, cache[i].images)


def test_batches(cache):
    source = ClipSource(cache)
    batch = next(ClipBatches(source, 4, seed=0))
    shapes = {name: value.shape for name, value in batch.items()}
    assert shapes == {
        "frames": (4, 4, 32, 32, 3), "tabular": (4, 4), "tabular_mask": (4, 4),
        "reference_cm": (4,), "labels": (4, 5), "labels_mask": (4, 5), "masks": (4, 4, 8, 8),
        "keypoints": (4, 4, 19, 3),
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
    again = ClipBatches(ClipSource(cache), 3, seed=1)
    again.seek(batches.position)
    assert indices(again, 3) == first[2:]
    epoch = indices(ClipBatches(ClipSource(cache), 4, seed=1), 2)
    assert sorted(itertools.chain(*epoch)) == list(range(8))


def test_the_order_does_not_depend_on_who_reads(cache):
    indices = lambda batches, count: [next(batches)["index"].tolist() for _ in range(count)]
    flags.FLAGS.mark_as_parsed()  # as launchers do
    whole = indices(ClipBatches(ClipSource(cache), 3, seed=1), 5)
    batches = ClipBatches(ClipSource(cache, exact=True), 3, seed=1, workers=2)
    assert indices(batches, 3) == whole[:3]
    batches.close()
    alone = ClipBatches(ClipSource(cache), 3, seed=1)
    alone.seek(batches.position)
    assert indices(alone, 2) == whole[3:]


def test_an_evaluation_sees_what_a_prediction_sees(found, cache):
    for i in (0, 2):  # annotated
        fresh = sample_clip(found.folder / found.visits[i].video, 4, 32)
        example = ClipSource(cache)[i]
        np.testing.assert_array_equal(example["frames"], fresh.images)
        at = [frame.time_s for frame in found.visits[i].frames]
        met = np.abs(fresh.times_s[:, None] - at).min(1) < 1e-3
        np.testing.assert_array_equal(example["annotated"], met)
        assert (ClipSource(cache, exact=True)[i]["frames"] != fresh.images).any()
        assert cache[i].duration_s == fresh.duration_s == pytest.approx([20, 0, 22][i] / 15)


def test_a_letterbox_keeps_what_a_crop_cuts_off(found, tmp_path):
    cache = clip_cache.build(found.of_infants(["n0"]), tmp_path, ClipSettings(4, 48, "letterbox"))
    example = ClipSource(cache, exact=True)[0]
    drawn = int(np.argmax(example["keypoints"][..., 2].sum(1) > 0))
    # Shown 96 x 64 -> 48 x 32, and 8 px of black above and below.
    assert not example["frames"][:, :8].any() and not example["frames"][:, 40:].any()
    assert tuple(example["keypoints"][drawn][1]) == pytest.approx((6, 14.5, 2))
    assert example["masks"][drawn][5, 2] == 1  # (20, 24) of the shown picture
    shares = np.eye(3)[example["masks"]]
    gate = inspect(example["frames"], cache[0].duration_s, shares, fit="letterbox")
    assert gate.measured["found_frames"] == 0.5  # the other two were not drawn on


def test_annotated_frames_carry_masks_and_keypoints(cache):
    example = ClipSource(cache, exact=True)[0]
    # Of 4 frames, two were replaced by the annotated ones.
    assert example["annotated"].sum() == 2
    drawn = int(np.argmax(example["keypoints"][..., 2].sum(1) > 0))
    clip = on_exact_frames(cache[0])
    assert clip.times_s[drawn] == pytest.approx(9 / 15, abs=2e-3)
    # Shown 96 x 64 -> 48 x 32, and 8 px cut off at the left.
    x, y, v = example["keypoints"][drawn][1]
    assert (x, y, v) == (0, 0, 0)  # (12, 13) falls outside the crop
    x, y, v = example["keypoints"][drawn][10]
    assert (x, y, v) == pytest.approx((30 / 2 - 8, 22 / 2, 2))
    assert example["masks"][drawn][6, 4] == 2 and example["masks"][drawn][3, 0] == 1
    assert example["masks"][drawn].max() == 2
    assert not ClipSource(cache)[1]["annotated"].any()


def test_the_same_clip_as_it_is_seen_in_use_has_no_marks_of_other_frames(cache):
    """What was drawn for training stands on frames that an estimate does not see."""
    exact = ClipSource(cache, exact=True)
    assert exact[0]["annotated"].sum() == 2
    in_use, fresh = dataclasses.replace(exact, exact=False)[0], ClipSource(cache)[0]
    for name in ("annotated", "masks", "keypoints"):
        np.testing.assert_array_equal(in_use[name], fresh[name])
    assert in_use["annotated"].sum() < 2


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
