"""Rendered recordings that have to be refused: what is in them, and what is said of it."""
import dataclasses

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from nurture_jax.measures import NEWBORN, REFERENCE
from nurture_jax.records.negatives import read
from nurture_jax.synthetic import negatives
from nurture_jax.synthetic.negatives import KINDS, NO_RULER, TWO_RULERS, draw_recording
from nurture_jax.synthetic.objects import things
from nurture_jax.synthetic.visit import Settings

SETTINGS = Settings(infants=2, seconds=1.0, short_sides_px=(64,), fps=3.0, annotated_frames=1)


def ids_of(kind, index):
    return next(draw_recording(SETTINGS, kind, index).frames([1]))[1]


@pytest.mark.parametrize("kind", things.KINDS)
def test_things_are_no_newborn_but_are_seen(kind):
    with_thing = draw_recording(SETTINGS, kind, 0)
    bare = draw_recording(SETTINGS, "empty", 0)
    picture, ids, _ = next(with_thing.frames([1]))
    assert NEWBORN not in ids and not with_thing.newborn
    cloth = next(bare.frames([1]))[0]
    assert ((picture != cloth).any(-1).mean() > 0.01) == (kind != "empty")


def test_rulers_with_and_without():
    count = lambda kind: np.array([(ids_of(kind, index) == REFERENCE).sum() for index in range(4)])
    assert not count(NO_RULER).any()
    assert all((ids_of(NO_RULER, index) == NEWBORN).any() for index in range(2))
    assert count(TWO_RULERS).all()
    first = draw_recording(SETTINGS, TWO_RULERS, 0)
    alone = dataclasses.replace(first, other=None)
    area = [(next(each.frames([1]))[1] == REFERENCE).sum() for each in (first, alone)]
    assert area[0] > area[1] > 0
    things_with = [draw_recording(SETTINGS, "cups", index) for index in range(12)]
    assert {bool(each.visit.scene.look.ruler_shown) for each in things_with} == {False, True}


def test_the_same_seed_gives_the_same_pictures():
    draw = lambda index: next(draw_recording(SETTINGS, "toys", index).frames([1]))[0]
    np.testing.assert_array_equal(draw(3), draw(3))
    assert (draw(3) != draw(4)).any()


def test_written_it_is_read_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(negatives, "KINDS", ("toys", TWO_RULERS, NO_RULER))
    assert negatives.write_negatives(tmp_path, SETTINGS, 2, workers=2) == 6
    assert negatives.write_negatives(tmp_path, SETTINGS, 2, workers=2) == 0
    with pytest.raises(ValueError, match="with 2 recordings of each kind, and 3 are"):
        negatives.write_negatives(tmp_path, SETTINGS, 3, workers=2)
    found = read(tmp_path / negatives.FOLDER)
    assert [visit.infant_id for visit in found.videos.visits] == [
        "no_ruler"] * 2 + ["toys"] * 2 + ["two_rulers"] * 2
    for visit in found.videos.visits:
        frame, = visit.frames
        mask, points = frame.mask(), np.array(frame.keypoints)
        assert (NEWBORN in mask) == (visit.infant_id == NO_RULER)
        assert points[:17, 2].any() == (visit.infant_id == NO_RULER)
        if visit.infant_id == NO_RULER:
            assert REFERENCE not in mask
        if visit.infant_id == TWO_RULERS:  # neither is the one to go by
            assert REFERENCE in mask and not points[17:, 2].any()
    assert set(KINDS) == {*things.KINDS, TWO_RULERS, NO_RULER}
