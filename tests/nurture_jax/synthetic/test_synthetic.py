"""The synthetic data set on disk: accepted as records, the same again, resumed, refused."""
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_videos import SQUARE, picture

from nurture_jax import records
from nurture_jax.records.video import probe, sample_clip
from nurture_jax.synthetic import (
    __main__ as synthetic,
)
from nurture_jax.synthetic import (
    dataset as synthetic_dataset,
)
from nurture_jax.synthetic import (
    sheet as synthetic_sheet,
)
from nurture_jax.synthetic.anny import source as anny_source
from nurture_jax.synthetic.bodies import check_installed
from nurture_jax.synthetic.dataset import write
from nurture_jax.synthetic.video import write_video
from nurture_jax.synthetic.visit import Settings, draw_visit, even_indices, pictures, plan

SETTINGS = Settings(infants=10, visits_per_infant=2, seconds=1.0, short_sides_px=(64,), fps=8.0,
                    annotated_frames=2)
OPTIONS = ["--infants", "10", "--visits_per_infant", "2", "--seconds", "1", "--fps", "8",
           "--short_sides_px", "64", "--annotated_frames", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "set"
    work = write(folder, SETTINGS, 2)
    assert work.visits == len(plan(SETTINGS)) and work.frames == 8 * work.visits
    return folder


def content(folder: Path) -> dict:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def test_records_accept_it(folder):
    report = records.validate(folder)
    assert not report.problems and not report.left_out
    assert len(report.visits) == len(plan(SETTINGS)) > SETTINGS.infants
    assert all(len(visit.frames) == 2 for visit in report.visits)
    assert {visit.device for visit in report.visits} == {f"phone_{name}" for name in "abcd"}
    about = json.loads((folder / "DATASET.json").read_text())
    assert about["synthetic"] and about["complete"] and about["settings"]["seed"] == 0
    assert about["visits"] == len(report.visits)


def test_videos_show_what_was_rendered_upright(folder):
    """Rotation, colours and times come back; phones a to d store the picture in three ways."""
    for index, number in plan(SETTINGS):
        visit = draw_visit(SETTINGS, index, number)
        path = folder / visit.row["video"]
        info = probe(path)
        assert (info.width, info.height) == (64, 114)
        np.testing.assert_allclose(info.times_s, visit.scene.times_s, atol=1e-4)
        assert info.duration_s == pytest.approx(1.0, abs=1e-3)
        rendered = np.asarray(next(pictures(visit, [4]))[0])[25:89].astype(float)
        clip = sample_clip(path, 1, 64, exact_times_s=[visit.scene.times_s[4]])
        error = lambda image, rendered=rendered: np.abs(image - rendered).mean()
        image = clip.exact_images[0]
        assert error(image) < 12  # noise that the coder leaves out
        np.testing.assert_allclose(image.mean((0, 1)), rendered.mean((0, 1)), atol=2)
        assert error(image) < 0.5 * error(image[::-1, ::-1])


def test_some_phones_have_uneven_frame_times(folder):
    uneven = {visit.device: bool(np.ptp(np.diff(probe(folder / visit.video).times_s)) > 0.01)
              for visit in records.load(folder).visits}
    assert uneven == {"phone_a": False, "phone_b": True, "phone_c": False, "phone_d": True}


def test_masks_are_the_rendered_ones(folder):
    visit = draw_visit(SETTINGS, 0, 1)
    (read,) = (seen for seen in records.load(folder).visits if seen.key == "n00000/1")
    indices = even_indices(visit, 2)
    for frame, (_, ids, _) in zip(read.frames, pictures(visit, indices), strict=True):
        np.testing.assert_array_equal(frame.mask(), ids)
    assert [frame.frame_index for frame in read.frames] == indices


@pytest.mark.parametrize("rotation", [-90, 0, 90, 180])
@pytest.mark.parametrize("colour_tag", [True, False])
def test_rotation_round_trip(tmp_path, rotation, colour_tag):
    path = tmp_path / "a.mp4"
    write_video(path, [picture(64, 96, i, 6) for i in range(6)], np.arange(6) / 5, 1.2,
                rotation=rotation, crf=12, colour_tag=colour_tag)
    clip = sample_clip(path, 6, 96, fit="letterbox")
    x, y, side = SQUARE
    middle = clip.images[0][y + side // 2, 16 + x + side // 2].astype(int)
    assert middle[0] > 180 and middle[1:].max() < 80
    assert (clip.width, clip.height) == (64, 96)
    assert not list(tmp_path.glob("*.part"))


def test_one_worker_writes_the_same_bytes(folder, tmp_path):
    write(tmp_path / "again", SETTINGS, 1)
    assert content(tmp_path / "again") == content(folder)


def test_interrupted_it_goes_on(folder, tmp_path, monkeypatch, capsys):
    stopped = tmp_path / "stopped"
    encode, calls = synthetic_dataset.write_video, []

    def stopping(*arguments, **more):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        encode(*arguments, **more)

    arguments = [*OPTIONS, "--out", str(stopped), "--workers", "1"]
    monkeypatch.setattr(synthetic_dataset, "write_video", stopping)
    assert synthetic.main(arguments) == 130
    assert "goes on" in capsys.readouterr().err
    assert not (stopped / "visits.csv").exists()
    assert synthetic.main(arguments) == 0
    assert f" {len(plan(SETTINGS)) - 3} visits" in capsys.readouterr().out
    assert content(stopped) == content(folder)


def test_complete_it_is_left_alone(folder, capsys):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert synthetic.main([*OPTIONS, "--out", str(folder)]) == 0
    assert "left as it is" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_both_kinds_in_turn(tmp_path, capsys):
    """The same infants, phones and scenes; the table says what each infant is made of."""
    try:
        check_installed("both")
    except ValueError as missing:
        pytest.skip(str(missing))
    arguments = [*OPTIONS, "--infants", "2", "--body", "both", "--out", str(tmp_path / "both")]
    assert synthetic.main(arguments) == 0
    report = records.validate(tmp_path / "both")
    assert not report.problems and not report.left_out
    assert {visit.infant_id: visit.body for visit in report.visits} == {
        "n00000": "ellipsoids", "n00001": "anny"}
    assert all(len(visit.frames) == 2 for visit in report.visits)
    again = [*arguments[:-1], str(tmp_path / "again"), "--workers", "1"]
    assert synthetic.main(again) == 0
    assert content(tmp_path / "again") == content(tmp_path / "both")
    assert synthetic.main([*arguments, "--body", "anny"]) == 2
    assert "body is 'both' there and 'anny' now" in capsys.readouterr().err


def test_without_anny_one_sentence_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(anny_source, "find_spec", lambda name: None)
    assert synthetic.main(["--body", "anny", "--out", str(tmp_path / "set")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "make .venv/anny_installed" in error
    assert not (tmp_path / "set").exists()


def test_a_set_begun_before_there_were_kinds_goes_on(folder, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    about = json.loads((old / "DATASET.json").read_text())
    for name in ("body", "preterm", "surroundings"):
        del about["settings"][name]
    (old / "DATASET.json").write_text(json.dumps(about))
    assert write(old, SETTINGS, 1) is None


def test_no_ruler(tmp_path):
    settings = dataclasses.replace(SETTINGS, infants=1, visits_per_infant=1, ruler=False)
    write(tmp_path / "bare", settings, 1)
    (visit,) = records.load(tmp_path / "bare").visits
    assert all(name == "newborn" for frame in visit.frames for name, _ in frame.segments)
    assert all(v == 0 for frame in visit.frames for _, _, v in frame.keypoints[17:])


def test_contact_sheet_and_benchmark(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(synthetic_sheet, "RENDER_PX", 64)
    monkeypatch.setattr(synthetic, "BENCHMARK_PX", 64)
    monkeypatch.setattr(synthetic, "BENCHMARK_FRAMES", 3)
    path = tmp_path / "deep" / "sheet.png"
    assert synthetic.main([*OPTIONS, "--contact_sheet", str(path), "--benchmark"]) == 0
    assert path.stat().st_size > 10_000
    assert "frames per CPU-second" in capsys.readouterr().out


def test_other_folders_are_refused(folder, tmp_path, capsys):
    def refusal(*arguments):
        assert synthetic.main([*OPTIONS, *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "seed is 0 there and 3 now" in refusal("--out", folder, "--seed", 3)
    assert "ruler is True there and False now" in refusal("--out", folder, "--no_ruler")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "visits.csv").write_text("infant_id\n")
    assert "holds other files" in refusal("--out", tmp_path / "mine")
    assert "is a file" in refusal("--out", tmp_path / "mine" / "visits.csv")
    (tmp_path / "mine" / "DATASET.json").write_text("{")
    assert "is damaged" in refusal("--out", tmp_path / "mine")


@pytest.mark.parametrize(("arguments", "words"), [
    ([], "nothing to do"),
    (["--out", "x", "--infants", "0"], "infants 0"),
    (["--out", "x", "--infants", "many"], "invalid int value"),
    (["--out", "x", "--seconds", "0.2"], "seconds 0.2"),
    (["--out", "x", "--fps", "1"], "fps 1"),
    (["--out", "x", "--short_sides_px", "96,a"], "is not numbers of pixels"),
    (["--out", "x", "--short_sides_px", "97"], "short_sides_px (97,)"),
    (["--out", "x", "--workers", "0"], "workers 0"),
    (["--out", "x", "--negatives", "-1"], "negatives -1 is negative"),
    (["--out", "x", "--body", "smil"], "body 'smil' is not one of ellipsoids, anny, both"),
    (["--out", "x", "--infant", "3"], "unrecognized arguments"),
    (["--contact_sheet", "sheet.jpg"], "does not end in .png"),
])
def test_bad_input_is_one_sentence(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert synthetic.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error
    assert not list(tmp_path.iterdir())
