"""The gate on fabricated recordings, each with one thing wrong."""
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_estimates import make_visits  # noqa: F401, skips where the extra 'nurture' is missing
from newborn_points import newborn_points

from nurture_jax.clinic.checks import NEEDED, Limits, failing
from nurture_jax.clinic.familiarity import FEATURES, fit
from nurture_jax.clinic.recording_gate import inspect, rejections, sharpness

SIZE, CELLS, FRAMES = 96, 24, 6


def recording(seed=0):
    """[t h w 3] checks of different greys, and masks of a newborn beside a ruler."""
    random = np.random.default_rng(seed)
    tiles = random.integers(60, 200, (FRAMES, SIZE // 8, SIZE // 8, 1), np.uint8)
    frames = tiles.repeat(8, 1).repeat(8, 2).repeat(3, 3)
    masks = np.zeros((FRAMES, CELLS, CELLS), int)
    masks[:, 4:20, 8:16], masks[:, 6:18, 19:21] = 1, 2
    return frames, masks


def probabilities(masks):
    return np.eye(3, dtype=np.float32)[masks] * 0.8 + 0.1


def checks(gate):
    return [failure.check for failure in gate.failures]


def look(frames=None, masks=None, duration_s=5.0, **more):
    good_frames, good_masks = recording()
    return inspect(good_frames if frames is None else frames, duration_s,
                   probabilities(good_masks if masks is None else masks), **more)


def body(confidence=1.0):
    return newborn_points(FRAMES, SIZE, confidence)


def test_a_good_recording_passes():
    assert look().accepted and look(keypoints=body()).accepted
    assert look(keypoints=body()).not_done == ("unfamiliar",)
    assert look().not_done == ("newborn_disagrees", "newborn_out_of_proportion",
                               "newborn_unsteady", "unfamiliar", "reference_wrongly_told")


def test_light():
    frames, _ = recording()
    assert checks(look((frames * 0.2).astype(np.uint8))) == ["too_dark"]
    bright = (255 - (255 - frames.astype(float)) * 0.15).astype(np.uint8)
    assert checks(look(bright)) == ["too_bright"]
    assert "grey of 255, at most 225)" in str(look(bright).failures[0])


def test_blur_at_any_contrast_and_in_spite_of_noise():
    frames, _ = recording()
    dim = (100 + (frames.astype(float) - 128) * 0.2).astype(np.uint8)
    assert look(dim).accepted  # little contrast is not blur
    blur = lambda clip: np.stack([cv2.GaussianBlur(frame, (0, 0), 4) for frame in clip])
    noise = np.random.default_rng(1).normal(0, 2, frames.shape)
    for blurred in (blur(frames), blur(dim),
                    np.clip(blur(frames) + noise, 0, 255).astype(np.uint8)):
        assert checks(look(blurred)) == ["too_blurred"]
    assert sharpness(np.full((2, 32, 32), 90, np.uint8)) == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2 ** 32 - 1), st.floats(0.3, 3.0))
def test_blurring_never_sharpens(seed, sigma):
    grey = recording(seed)[0][..., 0]
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in grey])
    assert sharpness(blurred) < sharpness(grey)


def test_too_short():
    failure, = look(duration_s=0.8).failures
    assert (failure.check, failure.measured, failure.limit, failure.unit) \
        == ("too_short", 0.8, Limits().least_duration_s, "s")
    assert "the video is too short (0.8 s, at least 1.5)" in str(failure)
    assert look(duration_s=1.499).accepted  # 1.5 s in a container of whole milliseconds


def test_newborn_absent_or_cut_off():
    _, masks = recording()
    assert checks(look(masks=np.where(masks == 1, 0, masks))) == ["newborn_not_found"]
    cut = masks.copy()
    cut[:, 0:20, 8:16] = 1
    assert checks(look(masks=cut)) == ["newborn_cut_off"]
    advice = {fit: look(masks=cut, fit=fit).failures[0].advice for fit in ("crop", "letterbox")}
    assert "head and feet are within the middle square" in advice["crop"]
    assert "head and feet are in the picture" in advice["letterbox"]
    cut[:3] = masks[:3]  # half of the frames is not most of them
    assert look(masks=cut).accepted
    speck = masks.copy()
    speck[:, 0, 10] = 1
    assert look(masks=speck).accepted


def test_reference_by_its_ends_or_without_them_by_its_mask():
    _, masks = recording()
    hidden = np.where(masks == 2, 0, masks)
    assert checks(look(masks=hidden)) == ["reference_not_seen"]
    keypoints = body()
    keypoints[:, 17:, 2] = 0
    assert checks(look(masks=hidden, keypoints=keypoints)) == ["reference_not_seen"]
    keypoints[:, 17, 2] = 1
    assert not look(masks=hidden, keypoints=keypoints).accepted  # one end is no ruler
    keypoints[:, 18, 2] = 1
    assert look(masks=masks, keypoints=keypoints).accepted
    # Ends with nothing between them, or with half of a ruler, are of no ruler.
    assert checks(look(masks=hidden, keypoints=keypoints)) == ["reference_not_seen"]
    for rows, seen in ((6, False), (9, True)):
        covered = np.where((np.arange(CELLS) < 6 + rows)[:, None], masks, hidden)
        assert look(masks=covered, keypoints=keypoints).accepted == seen
    # A mask in the pattern of a cloth, with faint ends, is none.
    faint = np.where(np.arange(19)[:, None] >= 17, 0.25, keypoints)
    assert checks(look(keypoints=faint)) == ["reference_not_seen"]


def test_a_letterbox_is_not_dark_and_its_edge_is_a_border():
    frames, masks = recording()
    wide = np.zeros((FRAMES, SIZE, 4 * SIZE, 3), np.uint8)
    wide[:, :, 152:152 + SIZE] = frames
    cells = np.zeros((FRAMES, CELLS, 4 * CELLS), int)
    cells[:, :, 38:38 + CELLS] = masks
    assert look(wide, cells).accepted
    cells[:, 4:20, 38:46] = 1
    assert checks(look(wide, cells)) == ["newborn_cut_off"]


def test_everything_wrong_is_told_at_once():
    gate = look(np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8), np.zeros((FRAMES, CELLS, CELLS), int),
                duration_s=1)
    assert checks(gate) == ["too_short", "too_dark", "too_blurred", "newborn_not_found",
                            "reference_not_seen"]
    assert all(failure.reason and failure.advice for failure in gate.failures)
    assert rejections([gate, look(), look(duration_s=1)]) == {
        "too_short": 2, "too_dark": 1, "too_blurred": 1, "newborn_not_found": 1,
        "reference_not_seen": 1}


def test_without_masks_the_gate_says_what_it_did_not_look_at():
    gate = inspect(recording()[0], 5.0)
    assert gate.accepted and set(gate.not_done) == set(NEEDED)
    # Points alone tell whether a newborn and a ruler are there, not what is cut off.
    frames, _ = recording()
    points = inspect(frames, 5.0, keypoints=body())
    assert points.accepted
    assert points.not_done == ("newborn_cut_off", "newborn_disagrees", "unfamiliar")
    assert checks(inspect(frames, 5.0, keypoints=body(0.1))) == ["newborn_not_found",
                                                                  "reference_not_seen"]


def test_a_mask_without_a_body_is_no_newborn():
    faint = body()
    faint[:, :17, 2] = 0.1
    assert checks(look(keypoints=faint)) == ["newborn_not_found"]


def test_points_and_mask_and_frames_have_to_agree():
    _, masks = recording()
    beside = np.roll(masks, 7, 2)
    assert "newborn_disagrees" in checks(look(masks=np.where(masks == 2, 2, beside * (beside == 1)),
                                              keypoints=body()))
    rng = np.random.default_rng(0)
    scattered = body()
    scattered[:, :17, :2] = np.stack([rng.uniform(32, 64, (FRAMES, 17)),
                                      rng.uniform(16, 80, (FRAMES, 17))], -1)
    assert "newborn_unsteady" in checks(look(keypoints=scattered))
    straight = body()  # all joints in one place but those of the trunk
    straight[:, [7, 8, 9, 10, 13, 14, 15, 16], :2] = 48
    assert "newborn_out_of_proportion" in checks(look(keypoints=straight))


def test_what_is_unfamiliar_is_refused_beside_its_limit():
    rng = np.random.default_rng(0)
    some = lambda count: {FEATURES: rng.normal(size=(count, 6))}
    known = fit(some(80), some(20), 0.9)
    near, far = np.zeros(6), np.full(6, 9.0)
    gate = look(keypoints=body(), features=near, familiarity=known)
    assert gate.accepted and gate.not_done == () and gate.limit_unfamiliarity == known.limit
    gate = look(keypoints=body(), features=far, familiarity=known)
    assert checks(gate) == ["unfamiliar"] and gate.failures[0].limit == known.limit
    gate = look(keypoints=body(), familiarity=known)
    assert "unfamiliar" in gate.not_done and gate.limit_unfamiliarity is None


def test_each_check_is_looked_at_alone():
    _, masks = recording()
    nobody = look(masks=np.where(masks == 1, 0, masks), keypoints=body())
    assert checks(nobody) == ["newborn_not_found"]
    assert failing(nobody.measured, Limits(), None) == {"newborn_not_found", "newborn_disagrees"}


def test_sharpness_does_not_depend_on_the_size_of_the_clip():
    rng = np.random.default_rng(0)
    scene = cv2.GaussianBlur(rng.uniform(0, 255, (448, 448)).astype(np.float32), (0, 0), 6)
    scene = np.clip(128 + 6 * (scene - scene.mean()), 0, 255)
    at = lambda side: sharpness(cv2.resize(scene, (side, side), interpolation=cv2.INTER_AREA
                                           ).astype(np.uint8)[None])
    np.testing.assert_allclose([at(224), at(448)], at(96), rtol=0.1)


def test_what_passed_is_measured_too():
    frames, masks = recording()
    measured = look().measured
    assert measured == {"duration_s": 5.0, "brightness": np.median(frames),
                        "sharpness": sharpness(frames[..., 0]), "found_frames": 1.0,
                        "cut_frames": 0.0, "reference_frames": 1.0}
    nobody = look(masks=np.zeros_like(masks)).measured
    assert nobody["found_frames"] == 0 and "cut_frames" not in nobody
    assert set(inspect(frames, 5.0).measured) == {"duration_s", "brightness", "sharpness"}


@pytest.mark.parametrize(("limits", "sentence"), [
    ({"least_found_frames": 50.0}, "gate.least_found_frames 50.0 is not a number from 0 to 1"),
    ({"least_sharpness": -1.0}, "gate.least_sharpness -1.0 is not a number from 0 to inf"),
    ({"least_duration_s": float("nan")}, "gate.least_duration_s nan is not a number"),
    ({"least_brightness": 230.0}, "gate.least_brightness 230 is not below gate.most_brightness"),
])
def test_limits_that_cannot_be(limits, sentence):
    with pytest.raises(ValueError, match=sentence):
        Limits(**limits)


def test_refusals():
    frames, masks = recording()
    with pytest.raises(ValueError, match="float64"):
        inspect(frames / 255, 5.0)
    with pytest.raises(ValueError, match="6 frames ask for 4 axes"):
        inspect(frames, 5.0, probabilities(masks)[1:])
    with pytest.raises(ValueError, match="keypoints have shape"):
        inspect(frames, 5.0, probabilities(masks), np.zeros((FRAMES, 19, 2)))
