"""The frame of a training: one process, one folder, from the newest whole checkpoint."""
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from other_process import holding

from deps_jax.common.files import locks, sealed
from deps_jax.common.loop.batches import Batches
from deps_jax.common.loop.fit import Cadence
from deps_jax.common.loop.metrics import Mean
from deps_jax.common.loop.run import claim, continue_or_start, saved
from deps_jax.common.loop.writer import read

CONFIG = {"seed": 1}


def new_state():
    return {"sum": jnp.zeros(100)}


def step_fn(step, state, batch):
    """The state says which batches came, and in which order."""
    total = state["sum"].at[batch["place"]].add(step + 1.0)
    return {"sum": total}, {"loss": Mean.of(total[batch["place"]])}


class Places:
    def __len__(self):
        return 100

    def __getitem__(self, index):
        return {"place": np.int32(index)}


def train(folder, steps, total=40):
    """Up to `steps`, as if stopped there."""
    batches = Batches(Places(), 8, seed=3)
    with claim(folder, CONFIG), continue_or_start(
            folder, jax.eval_shape(new_state), new_state, batches) as run:
        run.fit(step_fn, total_steps=min(steps, total), batch_size=8, cadence=Cadence(5, 10))
        return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(folder, 40)
    return folder


def final(folder):
    return saved(folder).restore_state(jax.eval_shape(new_state))


def test_a_run_continues_to_the_bit_from_what_is_whole(whole, tmp_path, capsys):
    folder = tmp_path / "run"
    assert train(folder, 25).start_step == 0
    assert train(folder, 35).start_step == 25
    (folder / "checkpoints" / "35" / "meta.json").write_text("{")
    capsys.readouterr()
    assert train(folder, 40).start_step == 30
    assert "step 35 is damaged: meta.json is not what was written; step 30 is used" \
        in capsys.readouterr().err
    chex.assert_trees_all_equal(final(folder), final(whole))
    assert [(line["step"], line["loss"]) for line in read(folder)] == [
        (line["step"], line["loss"]) for line in read(whole)]
    assert train(folder, 40).start_step == 40


def test_a_second_process_changes_nothing(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    with holding(folder / locks.TRAINING) as other:
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        with pytest.raises(ValueError, match=f"is in use: process {other.pid} trains there"):
            train(folder, 40)
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert train(folder, 40).start_step == 40


def test_metrics_without_a_checkpoint_are_told(whole, tmp_path, capsys):
    folder = shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(folder / "checkpoints")
    assert train(folder, 40).start_step == 0
    assert "metrics up to step 40 but no checkpoint, so training starts" in capsys.readouterr().err


def test_another_experiment_or_a_file_is_refused(whole, tmp_path):
    with pytest.raises(ValueError, match="seed is 1 there and 2 now"), claim(whole, {"seed": 2}):
        raise AssertionError("let in")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"), claim(tmp_path / "file", CONFIG):
        raise AssertionError("let in")
    folder = shutil.copytree(whole, tmp_path / "run")
    (folder / "config.json").write_text((folder / "config.json").read_text()[:20])
    with pytest.raises(ValueError, match=r"run/config\.json is damaged, it is no longer JSON"):
        train(folder, 40)


def test_batches_are_closed_and_the_folder_is_free_after_an_error(tmp_path):
    closed = []

    class Closing(Batches):
        def close(self):
            closed.append(1)
            super().close()

    with pytest.raises(KeyError), claim(tmp_path, CONFIG), continue_or_start(
            tmp_path, jax.eval_shape(new_state), new_state, Closing(Places(), 8, seed=3)):
        raise KeyError
    assert closed and train(tmp_path, 1)


def test_a_full_disk_keeps_the_last_checkpoint(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    train(folder, 20)

    def full(*_):
        raise sealed.FullDisk("full")

    monkeypatch.setattr("deps_jax.common.loop.saved_steps.checksums.write", full)
    with pytest.raises(ValueError, match="so step 30 was not saved; step 20 is kept; free some"):
        train(folder, 40)
    monkeypatch.undo()
    assert train(folder, 40).start_step == 20
    chex.assert_trees_all_equal(final(folder), final(whole))
