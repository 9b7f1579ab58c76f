"""Clips that show no newborn: drawn, cut out of others, and out of a folder; mixed into batches."""
import itertools
import json

import cv2
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import coco, write_records
from make_videos import write_video

from nurture_jax import records
from nurture_jax.clips import clip_cache, textures
from nurture_jax.clips.clip_batches import ClipBatches, ClipSource
from nurture_jax.clips.negatives import MADE, Negatives, cut, mixed, of_folders, pieces
from nurture_jax.clips.panning import film, read_picture
from nurture_jax.records.negatives import read
from nurture_jax.records.video import ClipSettings

SETTINGS = ClipSettings(frames=4, size=32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of one picture and one video of a kind, and a marked video of no kind."""
    folder = tmp_path_factory.mktemp("negatives")
    (folder / "dogs").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)
    cv2.imwrite(str(folder / "dogs" / "ä photograph.PNG"), noise)
    write_video(folder / "dogs" / "b.mp4", times_s=np.arange(20) / 15)
    write_video(folder / "ruler.mp4", times_s=np.arange(20) / 15)
    marks = coco()
    for image in marks["images"]:
        image["video"] = "ruler.mp4"
    marks["images"] = marks["images"][:1]
    marks["annotations"] = marks["annotations"][1:2]  # a ruler without a newborn
    (folder / "annotations.json").write_text(json.dumps(marks))
    (folder / "notes.txt").write_text("passed over")
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    found = records.load(write_records(tmp_path_factory.mktemp("data") / "set"))
    return ClipSource(clip_cache.build(found, tmp_path_factory.mktemp("cache"), SETTINGS),
                      exact=True)


@pytest.mark.parametrize("kind", textures.KINDS)
def test_pictures_are_drawn_anew_and_the_same_from_one_seed(kind):
    draw = lambda seed: textures.KINDS[kind](np.random.default_rng(seed), 48)
    assert draw(0).shape == (48, 48, 3) and draw(0).dtype == np.uint8
    np.testing.assert_array_equal(draw(0), draw(0))
    assert (draw(0) != draw(1)).mean() > 0.1


def test_a_film_moves_over_the_picture_at_about_its_size():
    """Columns of the picture ascend, so that what is seen is told by its grey."""
    picture = np.tile(np.linspace(0, 250, 100)[None, :, None], (100, 1, 3)).astype(np.uint8)
    for seed in range(20):
        clip = film(np.random.default_rng(seed), picture, 4, 24)
        assert clip.shape == (4, 24, 24, 3) and clip.dtype == np.uint8
        assert (clip[0] != clip[-1]).any()
        across = np.ptp(clip.astype(int), (1, 2, 3)) / 250
        assert (across > 0.3).all() and (across <= 1).all()


def test_large_pictures_are_kept_small(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((400, 600, 3), np.uint8))
    assert read_picture(tmp_path / "a.png", 32).shape == (51, 77, 3)
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        read_picture(tmp_path / "b.png", 32)


def example(ends=((8, 8), (24, 24))):
    """A clip whose first two frames are annotated, with a ruler between two points."""
    keypoints = np.zeros((4, 19, 3), np.float32)
    keypoints[:2, :17] = (16, 16, 2)
    keypoints[:2, 17:, :2], keypoints[:2, 17:, 2] = ends, 2
    masks = np.ones((4, 8, 8), np.uint8)
    frames = np.random.default_rng(0).integers(1, 256, (4, 32, 32, 3), np.uint8)
    known = np.ones(4, np.float32)
    return {"frames": frames, "masks": masks, "keypoints": keypoints,
            "annotated": np.float32([1, 1, 0, 0]), "tabular": known, "tabular_mask": known,
            "labels": known, "labels_mask": known, "example_mask": np.float32(1)}


def test_cut_an_end_is_gone_and_so_are_the_labels():
    for seed in range(20):
        found = cut(np.random.default_rng(seed), example(), 4)
        shown = found["keypoints"][:2, 17:, 2] > 0
        assert not shown.all(1).any()
        assert not found["labels_mask"].any() and not found["tabular_mask"].any()
        assert found["frames"].min() > 0 and found["masks"].min() == 1  # within the picture
        inside = found["keypoints"][..., 2] > 0
        assert (found["keypoints"][..., :2][inside] < 32).all()
        np.testing.assert_array_equal(found["annotated"], [1, 1, 0, 0])


def test_in_pieces_there_is_nobody():
    found = pieces(np.random.default_rng(0), example())
    assert found["frames"].shape == (4, 32, 32, 3)
    assert not found["masks"].any() and not found["keypoints"].any() and found["annotated"].all()
    assert (found["frames"] != example()["frames"]).mean() > 0.5


def test_a_folder_by_kinds(folder, tmp_path):
    found = read(folder)
    assert [(visit.infant_id, visit.video, len(visit.frames)) for visit in found.videos.visits] \
        == [("dogs", "dogs/b.mp4", 0), ("others", "ruler.mp4", 1)]
    assert [path.name for path in found.pictures["dogs"]] == ["ä photograph.PNG"]
    makers = of_folders([folder], tmp_path, SETTINGS, 4)
    assert set(makers) == {"dogs", "others"}
    rng = np.random.default_rng(0)
    dogs = [makers["dogs"](rng) for _ in range(12)]
    assert len({one["frames"].std().round(1) for one in dogs}) > 3  # video and films of the picture
    for one in dogs:  # nothing is in any frame, and that is known
        assert one["annotated"].all() and not one["masks"].any() and not one["labels_mask"].any()
    ruler = makers["others"](rng)
    assert ruler["annotated"].sum() == 1  # only the marked frame is known
    at = int(ruler["annotated"].argmax())
    assert (ruler["keypoints"][at, :, 2] > 0).sum() == 2 and not (ruler["masks"] == 1).any()


def test_folders_that_cannot_be_used(folder, tmp_path):
    with pytest.raises(ValueError, match="nowhere is no folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no video and no picture"):
        read(tmp_path)
    (tmp_path / "unfinished").mkdir()
    with pytest.raises(ValueError, match="was not written to its end"):
        read(tmp_path)


def test_mixed_into_batches_that_go_on_where_they_stopped(clips):
    source = mixed(clips, Negatives(0.5), {})
    assert (len(clips), len(source)) == (8, 12)
    batches = lambda: ClipBatches(source, 4, seed=3, threads=0, change=source.change)
    first = list(itertools.islice(batches(), 6))
    newborns = np.concatenate([batch["labels_mask"][:, 0] for batch in first])
    assert newborns.sum() == 16  # two epochs
    for batch in first:
        assert ((batch["index"] >= 8) == (batch["labels_mask"][:, 0] == 0)).all()
        assert all(len(value) == 4 for value in batch.values())
    later = batches()
    later.seek(4)
    np.testing.assert_equal(next(later), first[4])
    places = [(int(i), frames) for batch in first
              for i, frames in zip(batch["index"], batch["frames"], strict=True) if i >= 8]
    one, two = (frames for i, frames in places if i == places[0][0])
    assert (one != two).any()  # the next epoch draws another one


def test_kinds_are_left_out(clips):
    kept = mixed(clips, Negatives(0.5, leave_out=("noise", "cut")), {})
    assert set(kept.makers) == set(MADE) - {"noise", "cut"}
    with pytest.raises(ValueError, match="leave_out 'dogs' is no kind; there are noise, leaves"):
        mixed(clips, Negatives(0.5, leave_out=("dogs",)), {})
    with pytest.raises(ValueError, match="leaves out every kind"):
        mixed(clips, Negatives(0.5, leave_out=MADE), {})
    with pytest.raises(ValueError, match=r"negatives.share -1 is not 0 to 4"):
        Negatives(-1)
