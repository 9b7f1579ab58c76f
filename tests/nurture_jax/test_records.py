"""What a data set holds, and every sentence about what is wrong with one."""
import json
import shutil

import cv2
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pandas", reason="pandas is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import BODY, COLUMNS, coco, rows, write_csv, write_records
from make_videos import picture, write_sound, write_video

from nurture_jax import records, splits
from nurture_jax.annotations import KEYPOINTS


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "set")


def only(folder) -> str:
    problems = records.validate(folder).problems
    assert len(problems) == 1, [str(problem) for problem in problems]
    return str(problems[0])


def change(folder, row: int = 0, **cells):
    table = rows()
    table[row].update(cells)
    write_csv(folder, table)


def test_load(written):
    found = records.load(written)
    assert len(found) == 8
    first, second = found.visits[:2]
    assert (first.infant_id, first.visit_id, first.sex) == ("n0", "0", "F")
    assert (first.weight_g, first.chest_cm, second.chest_cm, first.arm_cm) == (2750, 32, None, None)
    assert [frame.time_s for frame in first.frames] == pytest.approx([9 / 15, 1.2667], abs=2e-3)
    assert second.frames == ()
    assert "8 of 8 visits can be used" in str(records.validate(written))


def test_masks_and_keypoints(written):
    first, second = records.load(written).visits[0].frames
    mask = first.mask()
    assert mask.shape == (64, 96) and set(np.unique(mask)) == {0, 1, 2}
    assert (mask[20:36, 12:28] == 1).all() and (mask[49:52, 41:69] == 2).all()
    assert (mask == 1).sum() == pytest.approx(256, abs=20)
    points = np.array(first.keypoints)
    assert len(points) == len(KEYPOINTS) == 19
    np.testing.assert_array_equal(points[:17], BODY)
    np.testing.assert_array_equal(points[17:], [[40, 50, 2], [70, 50, 1]])
    assert (second.mask()[:, 48:] == 1).all() and (second.mask()[:, :48] == 0).all()
    assert not np.array(second.keypoints).any()


def test_without_annotations_or_optional_columns(folder):
    (folder / "annotations.json").unlink()
    write_csv(folder, rows(), ("infant_id", "visit_id", "video", "weight_g"))
    visit = records.load(folder).visits[0]
    assert visit.weight_g == 2750 and visit.age_days is None and visit.sex == ""


@pytest.mark.parametrize("column, value, sentence", [
    ("weight_g", "3.2", "'3.2' is not 500 to 8000 grams; kilograms?"),
    ("birth_weight_g", "2.9", "'2.9' is not 500 to 8000 grams; kilograms?"),
    ("weight_g", "9000", "'9000' is not 500 to 8000 grams; correct it or leave it empty"),
    ("length_cm", "485", "'485' is not 25 to 70 cm; millimetres?"),
    ("length_cm", "0.485", "'0.485' is not 25 to 70 cm; metres?"),
    ("length_cm", "19.1", "'19.1' is not 25 to 70 cm; inches?"),
    ("head_cm", "340", "'340' is not 15 to 50 cm; millimetres?"),
    ("chest_cm", "12.5", "'12.5' is not 15 to 50 cm; inches?"),
    ("age_days", "61", "'61' is not 0 to 60 days"),
    ("age_days", "-1", "'-1' is not 0 to 60 days"),
    ("gestational_age_days", "39", "'39' is not 154 to 315 days; weeks?"),
    ("gestational_age_days", "320", "'320' is not 154 to 315 days; correct it"),
    ("sex", "girl", "'girl' is not F or M; use one of them or leave it empty"),
    ("weight_g", "3200 g", "'3200 g' is not a number; give grams without the unit"),
    ("weight_g", "inf", "'inf' is not a number"),
    ("length_cm", "48,5", "'48,5' is not a number; a decimal comma? Write 48.5"),
    ("infant_id", "", "is empty; every visit needs one"),
    ("video", "/data/a.mp4", "'/data/a.mp4' is not a path inside the folder"),
    ("video", "C:\\a.mp4", "is not a path inside the folder"),
])
def test_cells(folder, column, value, sentence):
    (folder / "annotations.json").unlink()
    change(folder, 2, **{column: value})
    told = only(folder)
    assert told.startswith(f"visits.csv, row 4, column {column}: ")
    assert sentence in told


def test_duplicates(folder):
    (folder / "annotations.json").unlink()
    change(folder, 3, infant_id="n1", visit_id="0")
    assert only(folder) == ("visits.csv, row 5, column visit_id: '0' is the same visit as row 4; "
                            "keep one of them")
    change(folder, 3, video="videos/n1_0.mp4")
    assert "is the same video as row 4" in only(folder)


@pytest.mark.parametrize("encoding, replace, sentence", [
    ("utf-8", (",", ";"), "visits.csv: is separated by semicolons, not commas; save it as 'CSV"),
    ("utf-8", (",", "\t"), "visits.csv: is separated by tabs, not commas"),
    ("utf-16", None, "visits.csv: is in UTF-16; save it as 'CSV UTF-8"),
    ("latin-1", ("phone", "téléphone"), r"is not in UTF-8 (row 2; Latin-1 or Windows-1252?)"),
])
def test_how_the_table_was_saved(folder, encoding, replace, sentence):
    (folder / "annotations.json").unlink()
    text = (folder / "visits.csv").read_text()
    text = text.replace(*replace) if replace else text
    (folder / "visits.csv").write_bytes(text.encode(encoding))
    assert sentence in only(folder)


def test_byte_order_mark_and_empty_rows_are_taken(folder):
    text = (folder / "visits.csv").read_text() + "\n,,,,,,,,,,,,,\n"
    (folder / "visits.csv").write_bytes(text.encode("utf-8-sig"))
    assert len(records.load(folder)) == 8


def test_columns(folder):
    (folder / "annotations.json").unlink()
    names = ["weight" if name == "weight_g" else name for name in COLUMNS]
    write_csv(folder, rows(), names)
    told = [str(problem) for problem in records.validate(folder).problems]
    assert told[0].startswith("visits.csv, row 1: has no column weight_g; it has infant_id, visit")
    assert told[1] == "visits.csv, row 1, column weight: is unknown; did you mean 'weight_g'?"
    (folder / "visits.csv").write_text("infant_id,visit_id,video,weight_g\nn0,1,a.mp4,3000,7\n")
    assert "is not a table" in only(folder)
    (folder / "visits.csv").write_text("infant_id,visit_id,video,weight_g\n")
    assert "holds no visits" in only(folder)
    (folder / "visits.csv").unlink()
    assert "visits.csv: does not exist in" in only(folder)
    assert "is not a folder" in only(folder / "nowhere")


def test_all_problems_at_once(folder):
    table = rows()
    table[0]["weight_g"], table[3]["head_cm"], table[5]["sex"] = "2.75", "340", "X"
    (folder / table[7]["video"]).unlink()
    write_csv(folder, table)
    with pytest.raises(ValueError, match="has 4 problems; mend and try again") as caught:
        records.load(folder)
    for words in ("row 2, column weight_g", "row 5, column head_cm", "row 7, column sex",
                  "row 9, column video: 'videos/n3_1.mp4' cannot be used: n3_1.mp4 does not exist"):
        assert words in str(caught.value)


def test_a_picture_is_refused(folder):
    cv2.imwrite(str(folder / "a.jpg"), picture(64, 64, 0, 1))
    (folder / "a.jpg").rename(folder / "videos/n3_1.mp4")
    assert "is a picture" in only(folder)


def test_unusable_videos_are_left_out_and_counted(folder):
    write_video(folder / "videos/n2_0.mp4", times_s=[0, 0.1])
    write_sound(folder / "a.wav").rename(folder / "videos/n2_1.mp4")
    (folder / "videos/n3_0.mp4").write_bytes(b"")
    write_video(folder / "videos/n3_1.mp4", times_s=np.arange(90) / 15, faststart=True)
    data = (folder / "videos/n3_1.mp4").read_bytes()
    (folder / "videos/n3_1.mp4").write_bytes(data[:len(data) // 2])
    report = records.validate(folder)
    assert not report.problems
    assert report.flow() == {"eligible": 8, "usable": 4, "left_out_audio_only": 1,
                             "left_out_not_a_video": 1, "left_out_too_short": 1,
                             "left_out_truncated": 1}
    assert "n2/0: n2_0.mp4 lasts 0.20 s; record at least 1 s" in str(report)
    assert len(records.load(folder)) == 4


def edit_coco(folder, edit):
    content = coco()
    edit(content)
    (folder / "annotations.json").write_text(json.dumps(content))


@pytest.mark.parametrize("edit, sentence", [
    (lambda c: c["images"][2].update(video="videos/x.mp4"), "'videos/x.mp4' of image 3 is in no "
                                                            "row of visits.csv"),
    (lambda c: c["images"][0].update(frame_index=99), "'99' of image 1 is not a frame of "
                                                      "videos/n0_0.mp4; it has 0 to 19"),
    (lambda c: c["images"][1].update(time_s=7.0), "'7.0' of image 2 is not a time of "
                                                  "videos/n0_0.mp4; it lasts 1.33 s"),
    (lambda c: c["images"][2].update(width=64), "'64 x 64' of image 3 is not the size of "
                                                "videos/n1_0.mp4 as it is shown, 96 x 64"),
    (lambda c: c["images"][1].pop("time_s"), "of image 2 is not a time in seconds"),
    (lambda c: c["images"][2].pop("video"), "of image 3 is not a path"),
    (lambda c: c["annotations"][2].update(image_id=8), "'8' of annotation 3 is not an image"),
    (lambda c: c["annotations"][2].update(category_id=8), "'8' of image 2 is not a category"),
    (lambda c: c["categories"].append(dict(id=3, name="cat")), "'cat' is not a known category; "
                                                               "use newborn and reference_object"),
    (lambda c: c["annotations"][0].update(keypoints=[1, 2, 2]), "has 3 numbers; it takes x, y, v"),
    (lambda c: c["annotations"][1].update(keypoints=[1, 2, 3] * 2), "visibility that is not 0, 1"),
    (lambda c: c["annotations"][0].update(segmentation=[[1, 2]]), "is no polygon of three points"),
    (lambda c: c["annotations"][2]["segmentation"].update(size=[9, 9]), "is RLE of size [9, 9]"),
])
def test_annotations(folder, edit, sentence):
    edit_coco(folder, edit)
    told = only(folder)
    assert told.startswith("annotations.json") and sentence in told


@pytest.mark.parametrize("text, sentence", [
    ("{", "is not JSON"), ("{}", "lacks images, categories or annotations"),
    ('{"images": [1], "categories": [], "annotations": []}', "holds something else than lists")])
def test_annotations_that_are_not_coco(folder, text, sentence):
    (folder / "annotations.json").write_text(text)
    assert sentence in only(folder)


def test_splits_are_by_infant(written, tmp_path):
    found = records.load(written)
    parts = splits.split(found, 0, {"train": 0.5, "validation": 0.25, "test": 0.25})
    assert [len(part) for part in parts.values()] == [4, 2, 2]
    infants = [{visit.infant_id for visit in part.visits} for part in parts.values()]
    assert len(set.union(*infants)) == sum(map(len, infants)) == 4
    splits.write(parts, tmp_path)
    again = splits.read(found, tmp_path)
    assert {name: part.visits for name, part in again.items()} \
        == {name: part.visits for name, part in parts.items()}
    assert any(splits.split(found, seed, {"a": 0.5, "b": 0.5})["a"].visits != parts["train"].visits
               for seed in range(5))


@pytest.mark.parametrize("content, sentence", [
    ({"train": ["n0", "n1"], "test": ["n1", "n2", "n3"]}, "infant 'n1' is in splits 'train' and"),
    ({"train": ["n0", "n1", "n2"]}, "infants 'n3' are in no split of"),
    ({"train": ["n0", "n1", "n2", "n3", "n9"]}, "infants 'n9' are gone from the records"),
    ([], "cannot be read"),
    (None, "splits.json does not exist; start the run anew")])
def test_splits_are_checked(written, tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "splits.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=sentence):
        splits.read(records.load(written), tmp_path)


def test_split_arguments(written):
    found = records.load(written)
    with pytest.raises(ValueError, match="do not add up to 1"):
        splits.split(found, 0, {"train": 0.5, "test": 0.4})
    with pytest.raises(ValueError, match="4 infants do not fill the splits"):
        splits.split(found, 0, {"train": 0.98, "test": 0.02})
