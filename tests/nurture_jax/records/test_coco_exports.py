"""Frames go out to an annotation tool and come back from its exports as the same frames."""
import json
import shutil
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import BODY, rows, write_csv, write_records
from make_videos import step_of, write_video

from nurture_jax import records
from nurture_jax.measures import BODY_POINTS, KEYPOINTS
from nurture_jax.records import coco_exports, frame_list

OUTLINE = [[12.0, 20.0, 28.0, 20.0, 28.0, 36.0, 12.0, 36.0]]
RULER = [[40.0, 48.0, 70.0, 48.0, 70.0, 52.0, 40.0, 52.0]]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("data") / "set", marks=False)


@pytest.fixture(scope="module")
def frames(written):
    folder = written.parent / "frames"
    listed, left_out = frame_list.extract(records.validate(written), folder, 2)
    assert len(listed) == 16 and not left_out
    assert "16 pictures of 8 videos" in frame_list.described(listed, left_out, folder)
    return folder


@pytest.fixture
def names(frames):
    return list(frame_list.read(frames))


def test_pictures_are_the_frames_that_the_list_says(written, frames):
    listed = frame_list.read(frames)
    for frame in listed.values():
        picture = cv2.imread(str(frames / frame.file_name))
        assert picture.shape == (frame.height, frame.width, 3) == (64, 96, 3)
        count = 20 + [row.video for row in records.load(written).visits].index(frame.video) % 3
        assert abs(step_of(picture, count) - frame.frame_index) <= 1
        assert frame.time_s == pytest.approx(frame.frame_index / 15, abs=2e-3)
    first = [frame.frame_index for frame in listed.values() if frame.video == "videos/n0_0.mp4"]
    assert first == [5, 15]


def test_a_video_with_the_name_of_a_formula_comes_back(tmp_path):
    folder, names = tmp_path / "set", ["=HYPERLINK(1).mp4", "'=a.mp4", "\uff1db.mp4", "c.mp4"]
    folder.mkdir()
    table = [{**row, "video": name} for row, name in zip(rows(2), names, strict=True)]
    for i, name in enumerate(names):
        write_video(folder / name, times_s=np.arange(20 + i) / 15)
    write_csv(folder, table)
    listed, _ = frame_list.extract(records.validate(folder), tmp_path / "frames", 1)
    assert [frame.video for frame in listed] == names
    assert list(frame_list.read(tmp_path / "frames").values()) == listed
    text = (tmp_path / "frames" / "frames.csv").read_text()
    assert ",'=HYPERLINK(1).mp4,10," in text and ",'\uff1db.mp4," in text


def test_names_are_of_one_video_each():
    assert frame_list.picture_name("a/x y.mp4", 3) != frame_list.picture_name("b/x y.mp4", 3)
    assert frame_list.picture_name("a/x y.mp4", 3).startswith("x_y_")


@pytest.mark.parametrize("settings, sentence", [
    (dict(per_video=0), "0 frames a video are too few"), (dict(), "holds frames.csv already")])
def test_what_extract_refuses(written, frames, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        frame_list.extract(records.validate(written), frames, **settings)


def test_a_list_that_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"holds no frames\.csv"):
        frame_list.read(tmp_path)
    (tmp_path / "frames.csv").write_text("file_name,video\na.jpg,b.mp4\n")
    with pytest.raises(ValueError, match="is damaged"):
        frame_list.read(tmp_path)


def cvat(names):
    """Both files of CVAT, as Datumaro's exporter writes them: outlines, then skeletons."""
    images = [dict(id=i, width=96, height=64, file_name=f"sub/{name}", license=0, flickr_url="",
                   coco_url="", date_captured=0) for i, name in enumerate(names, start=1)]
    labels = ["newborn", "reference_object", "newborn_points", "reference_points"]
    # All labels are categories, and points of skeletons too.
    categories = [dict(id=i, name=name, supercategory="") for i, name in enumerate(labels, 1)]
    categories += [dict(id=5 + i, name=name, supercategory="newborn_points")
                   for i, name in enumerate(BODY_POINTS)]
    mask = np.zeros((64, 96), int)
    mask[20:36, 12:28] = 1
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    marks = [dict(id=1, image_id=1, category_id=1, segmentation=OUTLINE, area=256.0, iscrowd=0,
                  bbox=[12, 20, 16, 16], attributes=dict(occluded=False)),
             dict(id=2, image_id=1, category_id=2, segmentation=RULER, area=120.0, iscrowd=0,
                  bbox=[40, 48, 30, 4]),
             dict(id=3, image_id=2, category_id=1, iscrowd=1, area=256.0, bbox=[12, 20, 16, 16],
                  segmentation=dict(counts=runs, size=[64, 96])),
             dict(id=4, image_id=2, category_id=2, segmentation=[], bbox=[1, 2, 3, 4], iscrowd=0)]
    # A skeleton whose points are in an order of their own.
    order = list(reversed(BODY_POINTS))
    flat = [number for name in order for number in BODY[BODY_POINTS.index(name)]]
    flat[2] = 1  # the last of ours is hidden
    skeletons = [dict(id=3, name="newborn_points", keypoints=order, skeleton=[[1, 2]]),
                 dict(id=4, name="reference_points", skeleton=[],
                      keypoints=["reference_start", "reference_end"])]
    points = [dict(id=1, image_id=1, category_id=3, keypoints=flat, num_keypoints=17,
                   segmentation=[], bbox=[0, 0, 9, 9], iscrowd=0),
              dict(id=2, image_id=1, category_id=4, keypoints=[40, 50, 2, 0, 0, 0],
                   num_keypoints=1, segmentation=[], bbox=[0, 0, 9, 9], iscrowd=0)]
    return (dict(images=images, categories=categories, annotations=marks),
            dict(images=images, categories=skeletons, annotations=points))


def label_studio(names, prefix="images\\cb0618f6-"):
    """The one file of Label Studio: numbers from 0, all points in a category "default"."""
    images = [dict(id=i, width=96, height=64, file_name=prefix + name)
              for i, name in enumerate(names)]
    categories = [dict(id=0, name="box"), dict(id=1, name="newborn"),
                  dict(id=2, name="reference_object"),
                  dict(id=3, name="default", supercategory="default", skeleton=[],
                       keypoints=list(KEYPOINTS))]
    points = np.ravel([*BODY, [40, 50, 2], [70, 50, 2]]).tolist()
    mark = lambda number, category, **fields: dict(id=number, image_id=0, category_id=category,
                                                   ignore=0, iscrowd=0, **fields)
    return dict(images=images, categories=categories, info=dict(contributor="Label Studio"),
                annotations=[mark(0, 0, segmentation=[], bbox=[1, 1, 9, 9], area=81),
                             mark(1, 1, segmentation=OUTLINE, bbox=[12, 20, 16, 16], area=256),
                             mark(2, 2, segmentation=RULER, bbox=[40, 48, 30, 4], area=120),
                             mark(3, 3, keypoints=points, num_keypoints=19)])


def write(folder, *contents):
    paths = []
    for i, content in enumerate(contents):
        paths.append(folder / f"export{i}.json")
        paths[-1].write_text(json.dumps(content))
    return paths


def loaded(written, folder, found):
    """The visits of a data set with the annotations that came in."""
    data = shutil.copytree(written, folder / "set")
    (data / "annotations.json").write_text(json.dumps(found.content))
    return {visit.video: visit.frames for visit in records.load(data).visits}


def test_cvat(written, frames, names, tmp_path):
    found = coco_exports.read(write(tmp_path, *cvat(names)), frame_list.read(frames))
    assert not found.problems and (found.unmarked, found.boxes) == (14, 1)
    assert "2 annotated frames of 1 videos, 5 annotations\nleft out: 14 pictures" in str(found)
    first, second = loaded(written, tmp_path, found)["videos/n0_0.mp4"]
    assert (first.frame_index, second.frame_index) == (5, 15)
    for frame in (first, second):
        assert (frame.mask()[20:36, 12:28] == 1).all()
        assert (frame.mask() == 1).sum() == pytest.approx(256, abs=20)
    np.testing.assert_array_equal(np.array(first.keypoints)[:16], BODY[:16])
    assert first.keypoints[16] == (*BODY[16][:2], 1)
    assert first.keypoints[17:] == ((40, 50, 2), (0, 0, 0))
    assert not np.array(second.keypoints).any()


@pytest.mark.parametrize("prefix", ["images\\cb0618f6-", "images/cb0618f6-", "images/", "",
                                    "..\\..\\media\\upload\\4\\cb0618f6-",
                                    "/data/local-files/?d="])
def test_label_studio(written, frames, names, tmp_path, prefix):
    content = label_studio(names, prefix)
    found = coco_exports.read(write(tmp_path, content), frame_list.read(frames))
    assert not found.problems and (found.unmarked, found.boxes) == (15, 1)
    frame, = loaded(written, tmp_path, found)["videos/n0_0.mp4"]
    np.testing.assert_array_equal(np.array(frame.keypoints)[:17], BODY)
    assert frame.keypoints[17:] == ((40, 50, 2), (70, 50, 2))
    assert set(np.unique(frame.mask())) == {0, 1, 2}


def test_pictures_without_marks_can_be_kept(written, frames, names, tmp_path):
    found = coco_exports.read(write(tmp_path, *cvat(names)), frame_list.read(frames),
                              keep_unmarked=True)
    assert len(found.content["images"]) == 16 and not found.unmarked
    assert not loaded(written, tmp_path, found)["videos/n3_1.mp4"][0].mask().any()


def test_frames_of_a_video_that_cvat_took_apart(written, tmp_path):
    outlines, points = cvat(["frame_000004.PNG", "frame_000012.PNG"])
    for content in (outlines, points):
        for image in content["images"]:
            image["file_name"] = image["file_name"].removeprefix("sub/")
    found = coco_exports.read(write(tmp_path, outlines, points), {}, video="videos/n1_0.mp4")
    assert not found.problems
    assert [frame.frame_index for frame in loaded(written, tmp_path, found)["videos/n1_0.mp4"]
            ] == [4, 12]


def problem(content, key, index, **change):
    content[key][index].update(change)
    return content


@pytest.mark.parametrize("change, sentence", [
    (lambda c: problem(c, "images", 0, file_name="other.jpg"), "'other.jpg' is not a picture of "
                                                               "frames.csv"),
    (lambda c: problem(c, "images", 0, file_name="frame_000003.PNG"), "give --video too"),
    (lambda c: problem(c, "images", 0, width=48), "'48 x 64' of n0_0_"),
    (lambda c: problem(c, "annotations", 0, image_id=99), "'99' is not an image of the file"),
    (lambda c: problem(c, "categories", 0, name="dog"), "'dog' of n0_0_"),
    (lambda c: problem(c, "categories", 1, name=None), "is not a label that is known; use newborn"),
    (lambda c: problem(c, "annotations", 0, segmentation=[[1, 2]]), "is no polygon of three"),
    (lambda c: problem(c, "annotations", 0, keypoints=[1, 2, 2]), "has 3 numbers for 17 points"),
    (lambda c: {**c, "images": [*c["images"], {**c["images"][0], "id": 50}], "annotations": [
        *c["annotations"], {**c["annotations"][0], "image_id": 50}]}, "is annotated twice; exp"),
])
def test_what_an_export_may_be_wrong_in(frames, names, tmp_path, change, sentence):
    found = coco_exports.read(write(tmp_path, change(cvat(names)[0])), frame_list.read(frames))
    assert any(sentence in str(each) for each in found.problems), found.problems


@pytest.mark.parametrize("points, sentence", [
    (["nose", "tail"], "has points that are not known (tail)"),
    (["nose", "nose"], "names a point twice"), (["Nose"], "has 6 numbers for 1 points"),
    ([], "has points that are not known (without names)")])
def test_points_are_told_by_their_names(frames, names, tmp_path, points, sentence):
    content = label_studio(names)
    content["categories"][3]["keypoints"] = points
    content["annotations"][3]["keypoints"] = [1, 1, 2] * 2
    found, = coco_exports.read(write(tmp_path, content), frame_list.read(frames)).problems
    assert sentence in str(found)


def test_two_annotators_are_not_put_together(frames, names, tmp_path):
    outlines, _ = cvat(names)
    paths = write(tmp_path, outlines, outlines)
    told = [str(each) for each in coco_exports.read(paths, frame_list.read(frames)).problems]
    assert len(told) == 3 and all("is there twice, also in export0.json; give the work of one anno"
                                  in each for each in told)
    missing, = coco_exports.read([tmp_path / "none.json"], {}).problems
    assert "does not exist; give a COCO file" in str(missing)


def test_labels_for_label_studio_are_in_the_order_of_ours(frames):
    root = ET.parse(frames / "label_studio.xml").getroot()
    points = root.find("KeyPointLabels").findall("Label")
    assert [label.get("value") for label in points] == list(KEYPOINTS)
    assert [int(label.get("model_index")) for label in points] == list(range(19))
    assert [label.get("value") for label in root.find("PolygonLabels")] == ["newborn",
                                                                           "reference_object"]
