"""From videos to pictures, through the exports of two annotators, to their agreement."""
import json

import pytest
from launch_here import launch_here

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import write_records


def export(names, left):
    """What one annotator drew on every picture: the newborn, so far from the left."""
    outline = [[left, 20, left + 20, 20, left + 20, 40, left, 40]]
    return json.dumps(dict(
        images=[dict(id=i, width=96, height=64, file_name=name) for i, name in enumerate(names)],
        categories=[dict(id=1, name="newborn")],
        annotations=[dict(id=i, image_id=i, category_id=1, segmentation=outline)
                     for i in range(len(names))]))


def test_out_and_in_again(tmp_path):
    data, pictures = write_records(tmp_path / "set", marks=False), tmp_path / "pictures"
    out = ["--data", str(data), "--out", str(pictures), "--per_video", "2"]
    code, told, _ = launch_here("annotation_frames", *out)
    assert code == 0 and "16 pictures of 8 videos" in told
    code, _, said = launch_here("annotation_frames", *out)
    assert code == 2 and "holds frames.csv already" in said
    names = sorted(path.name for path in pictures.glob("*.jpg"))
    for who, left in (("a", 10), ("b", 15)):
        (tmp_path / f"{who}_export.json").write_text(export(names, left))
        target = data / "annotations.json" if who == "a" else tmp_path / "b.json"
        code, told, said = launch_here(
            "import_annotations", "--frames", str(pictures), "--out", str(target),
            "--exports", str(tmp_path / f"{who}_export.json"))
        assert code == 0, said
        assert "16 annotated frames of 8 videos, 16 annotations" in told
    code, told, _ = launch_here("annotator_agreement", "--first", str(data / "annotations.json"),
                                "--second", str(tmp_path / "b.json"),
                                "--json", str(tmp_path / "found.json"))
    assert code == 0 and "newborn: outlined by both in 16 frames" in told
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["masks"][0]["dice"]["value"] == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(("module", "arguments", "message"), [
    ("import_annotations", ["--exports=a.json", "--out={}/new.json"], "nothing tells which frames"),
    ("import_annotations", ["--exports=a.json", "--out={}/there.json", "--video=a.mp4"], "exists"),
    ("import_annotations", ["--exports={}/none.json", "--out={}/new.json", "--video=a.mp4"],
     "none.json: does not exist"),
    ("import_annotations", ["--exports=a.json", "--out={}/new.json", "--frames={}"],
     "holds no frames.csv"),
    ("annotation_frames", ["--data={}/none", "--out={}/new"], "is not a folder"),
    ("annotation_frames", ["--data={}/none", "--out={}/new", "--per_video=0"], "per_video=0"),
    ("annotation_frames", ["--data={}/none", "--out={}/there.json"], "is a file; give a folder"),
    ("annotation_frames", ["--data={}/none", "--out={}/listed"], "holds frames.csv already"),
    ("annotator_agreement", ["--first={}/there.json", "--second={}/none.json"], "is not JSON"),
    ("annotator_agreement", ["--first={}/none.json", "--second={}/none.json"], "does not exist"),
])
def test_what_they_refuse(tmp_path, module, arguments, message):
    (tmp_path / "there.json").write_text("")
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed" / "frames.csv").write_text("")
    code, _, said = launch_here(module, *(each.format(tmp_path) for each in arguments))
    assert code == 2 and message in said and "Traceback" not in said
