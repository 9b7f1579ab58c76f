"""What a data set holds, and every sentence about what is wrong with one."""
import json
import shutil

import cv2
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import BODY, COLUMNS, coco, rows, write_csv, write_records
from make_videos import picture, write_sound, write_video
from pycocotools import mask as coco_mask

from nurture_jax import records
from nurture_jax.measures import KEYPOINTS


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
    assert str(records.validate(written)).splitlines() == [
        f"{written}: 8 of 8 visits can be used",
        "reference_cm is empty in 8 visits (with 1 annotated frames that show it); 30 is taken"]


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
    ("age_days", "400", "'400' is not 0 to 60 days; correct it or leave it empty"),
    ("age_days", "-1", "'-1' is not 0 to 60 days"),
    ("gestational_age_days", "39", "'39' is not 154 to 315 days; weeks?"),
    ("gestational_age_days", "320", "'320' is not 154 to 315 days; correct it"),
    ("sex", "girl", "'girl' is not F or M; use one of them or leave it empty"),
    ("weight_g", "3200 g", "'3200 g' is not a number; give grams without the unit"),
    ("weight_g", "inf", "'inf' is not a number"),
    ("length_cm", "48,5", "'48,5' is not a number; a decimal comma? Write 48.5"),
    ("infant_id", "", "is an empty cell; every visit needs one"),
    ("infant_id", "NA", "'NA' is an empty cell; every visit needs one"),
    ("video", "", "is an empty cell; every visit needs one"),
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
    for again in ("videos/n1_0.mp4", "./videos/n1_0.mp4"):
        change(folder, 3, video=again)
        assert "is the same video as row 4" in only(folder)
    # An id may hold a slash, a visit is told by "infant/visit".
    table = rows()
    table[2].update(infant_id="n/1", visit_id="0")
    table[3].update(infant_id="n", visit_id="1/0")
    write_csv(folder, table)
    assert "'1/0' is the same visit as row 4" in only(folder)


def test_every_empty_video_is_told_once(folder):
    (folder / "annotations.json").unlink()
    table = rows()
    for i, nothing in ((2, ""), (3, ""), (5, "none")):
        table[i]["video"] = nothing
    write_csv(folder, table)
    told = [str(problem) for problem in records.validate(folder).problems]
    assert [words.split(": ")[0] for words in told] == [
        f"visits.csv, row {row}, column video" for row in (4, 5, 7)]
    assert all("is an empty cell; every visit needs one" in words for words in told)


def test_what_stands_for_an_empty_cell(folder):
    change(folder, 0, site="NA", device="none", sex="n/a", length_cm="NULL")
    visit = records.load(folder).visits[0]
    assert (visit.site, visit.device, visit.sex, visit.length_cm) == ("", "", "", None)


@pytest.mark.parametrize("encoding, replace, sentence", [
    ("utf-8", (",", ";"), "visits.csv: is separated by semicolons, not commas; save it as 'CSV"),
    ("utf-8", (",", "\t"), "visits.csv: is separated by tabs, not commas"),
    ("utf-8", (",", "|"), "visits.csv: is separated by bars, not commas"),
    ("utf-16", None, "visits.csv: is in UTF-16; save it as 'CSV UTF-8"),
    ("latin-1", ("phone", "téléphone"), r"is not in UTF-8 (row 2; Latin-1 or Windows-1252?)"),
])
def test_how_the_table_was_saved(folder, encoding, replace, sentence):
    text = (folder / "visits.csv").read_text()
    text = text.replace(*replace) if replace else text
    (folder / "visits.csv").write_bytes(text.encode(encoding))
    assert sentence in only(folder)


@pytest.mark.parametrize("start", [b"PK\x03\x04\x14\0", b"\xd0\xcf\x11\xe0\xa1\xb1"],
                         ids=["xlsx", "xls"])
def test_a_workbook_that_is_called_csv(folder, start):
    (folder / "visits.csv").write_bytes(start + b"\0" * 100)
    assert "visits.csv: is a workbook of a spreadsheet program, not text; save it" in only(folder)


def test_estimates_are_no_measurements(folder):
    """The columns of a page's export; each cell could be the weight of a scale."""
    write_csv(folder, rows(), (*COLUMNS, "weight_g_low", "weight_g_high", "length_cm_high"))
    assert only(folder) == (
        "visits.csv, row 1: holds estimates with intervals, not measurements, as weight_g, "
        "length_cm; give what a scale and a tape have shown, and no ends of intervals")


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


@pytest.mark.parametrize("missing", [("infant_id",), ("visit_id",), ("video",),
                                     ("infant_id", "video", "weight_g")])
def test_missing_columns(folder, missing):
    write_csv(folder, rows(), [name for name in COLUMNS if name not in missing])
    told = only(folder)
    assert told.startswith(f"visits.csv, row 1: has no column {', '.join(missing)}; it has ")


def test_double_columns(folder):
    text = (folder / "visits.csv").read_text()
    (folder / "visits.csv").write_text(text.replace("arm_cm", " weight_g").replace("site", "sex"))
    assert only(folder) == ("visits.csv, row 1: has more than one column sex, weight_g; keep one "
                            "of each")
    # Nobody reads these.
    (folder / "visits.csv").write_text(text.replace("arm_cm", "note").replace("device", "note"))
    assert len(records.load(folder)) == 8


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


def test_more_problems_than_a_screen_holds(folder, tmp_path):
    run = tmp_path / "run"
    table = rows()
    for row in table:
        row |= dict(weight_g="2.75", head_cm="340", sex="X")
    write_csv(folder, table)
    with pytest.raises(ValueError, match="has 24 problems") as whole:
        records.load(folder)
    with pytest.raises(ValueError, match=r"and 4 more; all are in .*problems\.txt$") as short:
        records.load(folder, workdir=run)
    lines = str(whole.value).splitlines()[1:]
    assert len(lines) == 24 and "row 9, column sex: 'X' is not F or M" in lines[-1]
    assert (run / "problems.txt").read_text().splitlines() == lines
    assert str(short.value).splitlines()[1:21] == lines[:20]
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="row 9, column sex"):  # no place for a file
        records.load(folder, workdir=tmp_path / "file")
    write_csv(folder, rows())
    records.load(folder, workdir=run)
    assert not (run / "problems.txt").exists()


@pytest.mark.parametrize("text, sentence", [
    ("{synthetic", "DATASET.json: is not JSON (Expecting"), ("[]", "does not say if the set is"),
    ("[" * 100_000, "DATASET.json: is not JSON ("), ("9" * 5000, "DATASET.json: is not JSON ("),
    ('{"synthetic": "no"}', 'write {"synthetic": false} into it, or true where')])
def test_a_damaged_description(folder, text, sentence):
    (folder / "DATASET.json").write_text(text)
    assert sentence in only(folder)
    with pytest.raises(ValueError, match=f"{folder}: DATASET.json: "):
        records.is_synthetic(folder)


def test_a_description(folder):
    assert not records.is_synthetic(folder)
    for synthetic in (True, False):
        (folder / "DATASET.json").write_text(json.dumps({"synthetic": synthetic}))
        assert records.is_synthetic(folder) is synthetic


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
    assert (report.eligible, len(report.visits)) == (8, 4)
    assert str(report).startswith(f"{folder}: 4 of 8 visits can be used\n")
    assert "left out: 1 too_short, 1 audio_only, 1 not_a_video, 1 truncated\n" in str(report)
    assert "n2/0: n2_0.mp4 lasts 0.20 s; record at least 1 s" in str(report)
    found = records.load(folder)
    assert len(found) == 4 and found.infants == ["n0", "n1", "n2", "n3"]
    part = found.of_infants({"n1", "n3"})
    assert [visit.key for visit in part.visits] == ["n1/0", "n1/1"]
    assert [out.visit for out in part.left_out] == ["n3/0", "n3/1"]


def test_nothing_but_unusable_videos(folder):
    (folder / "annotations.json").unlink()
    for path in (folder / "videos").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="no visit with a usable video; record again") as caught:
        records.load(folder)
    assert "n3/1: n3_1.mp4" in str(caught.value)


def edit_coco(folder, edit):
    content = coco()
    edit(content)
    (folder / "annotations.json").write_text(json.dumps(content))


@pytest.mark.parametrize("edit, sentence", [
    (lambda c: c["images"][2].update(video="videos/x.mp4"), "'videos/x.mp4' of image 3 is in no "
                                                            "row of visits.csv"),
    (lambda c: c["images"][0].update(frame_index=99), "'99' of image 1 is not a frame of "
                                                      "videos/n0_0.mp4; it has 0 to 19"),
    (lambda c: c["images"][0].update(frame_index=-1), "'-1' of image 1 is not a frame of"),
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
    (lambda c: c["images"][1].update(time_s=True), "'True, None' of image 2 is not a time in"),
    (lambda c: c["images"][2].update(height=10 ** 9), "'1000000000' of image 3 is not 1 to 16384"),
    (lambda c: c["images"][2].pop("id"), "'None' of an image of 'videos/n1_0.mp4' is not an id"),
    (lambda c: c["images"][2].update(id=[3]), "'[3]' of an image of 'videos/n1_0.mp4' is not an"),
    (lambda c: c["images"][2].update(id=1), "column id: '1' of an image of 'videos/n1_0.mp4' is "
                                            "also the id of another image; give every image"),
    (lambda c: c["annotations"][2].update(image_id=[2]), "'[2]' of annotation 3 is not an image"),
    (lambda c: c["annotations"][2].update(category_id={}), "'{}' of image 2 is not a category"),
    (lambda c: c["categories"].append(dict(id=1, name="newborn")), "'1' of category 'newborn' is "
                                                                   "not an id of its own"),
    (lambda c: c["annotations"][0].update(keypoints=5), "'newborn' of image 1 is not a list of"),
    (lambda c: c["annotations"][0].update(keypoints=["a"] * 51), "is not a list of finite numbers"),
    (lambda c: c["annotations"][0].update(keypoints=[float("nan")] * 51), "of finite numbers"),
    (lambda c: c["annotations"][0].update(keypoints=[1, 2, 2]), "has 3 numbers; it takes x, y, v"),
    (lambda c: c["annotations"][1].update(keypoints=[1, 2, 3] * 2), "visibility that is not 0, 1"),
    (lambda c: c["annotations"].append({**c["annotations"][0], "id": 9}),
     "'newborn' of image 1 is marked twice; leave a picture of two out"),
    (lambda c: c["annotations"][0].update(segmentation=[[1, 2]]), "is no polygon of three points"),
    (lambda c: c["annotations"][0].update(segmentation=[["a"] * 6]), "is no polygon of three"),
    (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4, 5, float("inf")]]), "(finite"),
    (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4, 5, 6], [0, 0, 8, 8, 2, 193]]),
     "has a point at (2, 193), far outside of 96 x 64 pixels"),
    (lambda c: c["annotations"][0].update(segmentation="x"), "is no polygon of three points"),
    (lambda c: c["annotations"][2]["segmentation"].update(size=[9, 9]), "is RLE of size [9, 9]"),
    *((lambda c, counts=counts: c["annotations"][2]["segmentation"].update(counts=counts), sentence)
      for counts, sentence in [
          ("junk", "is RLE without run lengths that can be read; export it again"),
          ("o" * 99, "is RLE without run lengths"), (None, "is RLE without run lengths"),
          ([10, "a"], "is RLE without run lengths"), ([6145, -1], "is RLE without run lengths"),
          ("", "is RLE that does not fill the picture"), ("11", "is RLE that does not fill"),
          ([1, 2], "is RLE that does not fill the picture")]),
])
def test_annotations(folder, edit, sentence):
    edit_coco(folder, edit)
    told = only(folder)
    assert told.startswith("annotations.json") and sentence in told


def test_compressed_masks_are_read_as_pycocotools_reads_them(folder):
    rng = np.random.default_rng(0)
    for share in (0, 0.001, 0.1, 0.7, 1):  # runs of few and of many bits, zero included
        mask = np.asfortranarray(rng.random((64, 96)) < share).astype(np.uint8)
        runs = coco_mask.encode(mask)
        segment = dict(size=[64, 96], counts=runs["counts"].decode())
        edit_coco(folder, lambda c, segment=segment: c["annotations"][2].update(
            segmentation=segment))
        np.testing.assert_array_equal(records.load(folder).visits[0].frames[1].mask(), mask)


@pytest.mark.parametrize("text, sentence", [
    ("{", "is not JSON"), ("{}", "lacks images, categories or annotations"),
    ('{"images": ' + "[" * 100_000, "is not JSON"), ('{"images": ' + "9" * 5000, "is not JSON"),
    ('{"images": [1], "categories": [], "annotations": []}', "holds something else than lists")])
def test_annotations_that_are_not_coco(folder, text, sentence):
    (folder / "annotations.json").write_text(text)
    assert sentence in only(folder)


def test_parts_of_one_newborn_are_joined(folder):
    """Outlines apart from the points, and a limb that a cloth has cut off from the trunk."""
    def part(content):
        first = content["annotations"][0]
        content["annotations"] += [{"id": 9 + i, "image_id": 1, "category_id": 1, **each}
                                   for i, each in enumerate((
            {"segmentation": [[30, 40, 36, 40, 36, 46, 30, 46]], "keypoints": [0] * 51},
            {"keypoints": first.pop("keypoints")}))]

    edit_coco(folder, part)
    frame = records.load(folder).visits[0].frames[0]
    mask = frame.mask()
    assert mask[43, 33] == mask[25, 20] == 1 and mask[38, 29] == 0
    assert [list(point) for point in frame.keypoints[:17]] == BODY
