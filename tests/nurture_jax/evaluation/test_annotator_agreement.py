"""Agreement of two annotators, of shapes whose overlap and distances are known."""
import math

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")

from nurture_jax.evaluation.annotator_agreement import COCO_SIGMAS, compare, described
from nurture_jax.measures import KEYPOINTS
from nurture_jax.records.annotations import Frame


def box(left, top, right, bottom):
    return [[left, top, right, top, right, bottom, left, bottom]]


def frame(shift=0.0, *, ruler=40.0, nose=(30.0, 30.0, 2), newborn=True, index=0, width=100):
    """A newborn of 40 x 40 px, moved to the right, and a reference object."""
    segments = [("reference_object", box(5, 80, 5 + ruler, 84))]
    if newborn:
        segments.append(("newborn", box(20 + shift, 20, 60 + shift, 60)))
    points = np.zeros((19, 3))
    points[0], points[17], points[18] = nose, (5, 82, 2), (5 + ruler, 82, 2)
    return Frame(width, 100, None, index, tuple(segments), tuple(map(tuple, points.tolist())))


def frames(*group, videos=1):
    return {f"v{i}.mp4": [(j, each) for j, each in enumerate(group)] for i in range(videos)}


def test_the_same_is_perfect():
    found = compare(frames(frame()), frames(frame()))
    for row in found.masks:
        assert (row.both, row.dice.value, row.iou.value) == (1, 1, 1)
    assert found.oks.value == 1 and found.points[0].mean_percent.value == 0
    assert (found.frames, found.videos, found.only_first) == (1, 1, 0)


def test_overlap_and_distance_by_hand():
    found = compare(frames(frame()), frames(frame(10.0, nose=(33.0, 34.0, 1))))
    newborn, reference = found.masks
    assert newborn.dice.value == pytest.approx(0.75, abs=0.01)  # 30 of 40 columns
    assert newborn.iou.value == pytest.approx(0.6, abs=0.01)
    assert reference.dice.value == 1
    nose = found.points[0]
    assert nose.mean_percent.value == pytest.approx(100 * 5 / 40, rel=0.01)
    assert (nose.both, nose.visibility_differs, nose.only_one) == (1, 1, 0)
    oks = math.exp(-25 / (2 * 1600 * (2 * COCO_SIGMAS[0]) ** 2))
    assert found.oks.value == pytest.approx(oks, rel=0.05)
    assert found.points[1].both == 0 and math.isnan(found.points[1].median_percent)


def test_sizes_are_compared_in_percent():
    first = frames(*(frame(ruler=40, index=i) for i in range(4)))
    second = frames(*(frame(ruler=40 * math.exp(e), index=i)
                      for i, e in enumerate((0.01, 0.03, 0.01, 0.03))))
    reference, newborn = compare(first, second).sizes
    assert reference.mean_percent.value == pytest.approx(2)
    deviation = np.std([1, 3, 1, 3], ddof=1)
    assert reference.upper_limit.value == pytest.approx(2 + 1.96 * deviation)
    assert (newborn.mean_percent.value, newborn.upper_limit.value) == (0, 0)


def test_what_only_one_drew():
    found = compare(frames(frame(), frame(index=1), frame(index=2)),
                    frames(frame(newborn=False, nose=(0, 0, 0)), frame(index=1)))
    assert (found.frames, found.only_first, found.only_second) == (2, 1, 0)
    newborn = found.masks[0]
    assert (newborn.both, newborn.only_first, newborn.only_second) == (1, 1, 0)
    assert found.points[0].only_one == 1


def test_intervals_are_by_video():
    rng = np.random.default_rng(0)
    shifts = rng.uniform(0, 8, 12)
    first = {f"v{i}.mp4": [(0, frame())] for i in range(12)}
    second = {f"v{i}.mp4": [(0, frame(shift))] for i, shift in enumerate(shifts)}
    dice = compare(first, second).masks[0].dice
    assert dice.low < dice.value < dice.high
    few = compare({"v0.mp4": first["v0.mp4"]}, second).masks[0].dice
    assert math.isnan(few.low)


def test_what_cannot_be_compared():
    with pytest.raises(ValueError, match="no frame in common"):
        compare(frames(frame()), frames(frame(index=3)))
    with pytest.raises(ValueError, match=r"is \(100, 100\) pixels in one file and \(90, 100\)"):
        compare(frames(frame()), frames(frame(width=90)))


def test_in_words():
    words = described(compare(frames(frame(), videos=2), frames(frame(10.0), videos=2)))
    assert "2 frames of 2 videos were annotated by both" in words
    assert "newborn: outlined by both in 2 frames, by one alone in 0; Dice 0.75" in words
    assert f"{KEYPOINTS[0]}: by both in 2 frames" in words and "left_eye" not in words
    assert "length of the reference object: second - first 0.0 %, limits of agreement 0.0" in words
