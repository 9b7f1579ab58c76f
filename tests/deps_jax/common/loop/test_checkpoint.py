"""Checkpoints: what comes back, what is refused, and what happens when one is damaged."""
import errno
import itertools
import logging
import os
import shutil
import subprocess
from collections import namedtuple

import chex
import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from deps_jax.common.loop import saved_steps
from deps_jax.common.loop.batches import Batches
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.loop.state import TrainState

STATE = {"w": jnp.arange(6000.0).reshape(60, 100), "step": jnp.int32(4)}
SHAPES = jax.eval_shape(lambda: STATE)


def at(step):
    return jax.tree.map(lambda leaf: leaf + step, STATE)


def batches():
    return Batches(np.arange(100), 2, seed=0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two steps, 10 and 20, each of its own state and place."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    for step in (10, 20):
        Checkpoints(folder).save(step, at(step), position=step + 1, record={"error": step / 8})
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "checkpoints")


def test_state_place_and_record_come_back(saved):
    again, data = Checkpoints(saved), batches()
    assert again.latest_step() == 20 and again.record() == {"error": 2.5}
    chex.assert_trees_all_equal(again.restore(SHAPES, data), at(20))
    assert data.position == 21
    chex.assert_trees_all_equal(again.restore_part({"w": SHAPES["w"]}), {"w": at(20)["w"]})
    assert again.shapes() == {"step": [], "w": [60, 100]}
    chex.assert_trees_all_equal(again.arrays(), at(20))


def test_a_state_of_fewer_fields_is_read_where_the_others_are_empty(tmp_path):
    """As a version writes it that knew neither a teacher nor an average."""
    transform = optax.chain(optax.trace(0.9),
                            optax.masked(optax.trace(0.5), {"w": True, "b": False}))
    params = {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(2)}
    earlier = namedtuple("Earlier", ("step", "params", "batch_stats", "opt_state"))
    state = earlier(jnp.int32(7), params, {}, transform.init(params))
    Checkpoints(tmp_path).save(7, state)
    shapes = jax.eval_shape(lambda: TrainState(*state))
    found = Checkpoints(tmp_path).restore_state(shapes)
    chex.assert_trees_all_equal(found, TrainState(*state))
    more = shapes.replace(average=shapes.params)
    with pytest.raises(ValueError, match="average/b is absent there"):
        Checkpoints(tmp_path).restore_state(more)


def test_two_are_kept_and_each_can_be_told_from_the_others(copy):
    sha256 = Checkpoints(copy).sha256()
    assert Checkpoints(copy).sha256() == sha256
    checkpoints = Checkpoints(copy)
    checkpoints.save(30, at(30))
    assert checkpoints.latest_step() == 30 and checkpoints.sha256() != sha256
    assert sorted(path.name for path in copy.iterdir()) == ["20", "30", "SHA256SUMS"]


def test_opening_and_reading_makes_nothing(saved, tmp_path):
    missing = Checkpoints(tmp_path / "none")
    assert missing.latest_step() is None and missing.record() == {} and not missing.any()
    missing.check_disk(STATE)
    with pytest.raises(ValueError, match="holds no checkpoint; train first"):
        missing.restore_state(SHAPES)
    assert not (tmp_path / "none").exists()
    before = sorted((path, path.stat().st_mtime_ns) for path in saved.rglob("*"))
    Checkpoints(saved).restore_state(SHAPES)
    assert sorted((path, path.stat().st_mtime_ns) for path in saved.rglob("*")) == before


def test_sha256sum_agrees(saved):
    for folder in (saved, saved / "20"):
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


def kinds(folder):
    """One file of every kind below a step, and the list of the steps."""
    names = [path.relative_to(folder).as_posix() for path in sorted((folder / "20").rglob("*"))
             if path.is_file()]
    assert len([name for name in names if "/d/" in name]) >= 4
    return [*names, "SHA256SUMS"]


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1, *data[middle + 1:]])


@pytest.mark.parametrize("damage", [lambda data: data[:len(data) // 2], flipped, lambda data: b"",
                                    None], ids=["truncated", "flipped", "emptied", "missing"])
def test_every_kind_of_file_damaged(copy, damage, capsys):
    """The damage is told, and the step before is used; the state is never another one."""
    for name in kinds(copy):
        path = copy / name
        data = path.read_bytes()
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(data))
        opened = Checkpoints(copy)
        state, step = opened.restore_state(SHAPES), opened.latest_step()
        told = capsys.readouterr().err
        chex.assert_trees_all_equal(state, at(step))
        if step == 10 or name != "SHA256SUMS":  # the list of steps says no more than which were
            assert step == 10, name
            assert "step 20 is damaged: " in told and "step 10 is used" in told
            assert name.removeprefix("20/") in told
        path.write_bytes(data)
    assert Checkpoints(copy).latest_step() == 20 and capsys.readouterr().err == ""


def test_a_missing_step_and_a_cut_off_list(copy, capsys):
    path = copy / "20" / "SHA256SUMS"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    assert Checkpoints(copy).latest_step() == 10
    assert "step 20 is damaged: SHA256SUMS is not what was written" in capsys.readouterr().err
    shutil.rmtree(copy / "20")
    assert Checkpoints(copy).latest_step() == 10
    assert "step 20 is damaged: its folder is missing" in capsys.readouterr().err
    shutil.rmtree(copy / "10")
    with pytest.raises(ValueError, match=r"nothing that is whole .step 20 is damaged: its"):
        Checkpoints(copy).latest_step()


def test_training_goes_on_from_the_whole_one_and_writes_over_the_damaged(copy, capsys):
    (copy / "20" / "meta.json").write_text("{}")
    shutil.copytree(copy / "20", copy / "30")
    checkpoints = Checkpoints(copy)
    assert checkpoints.latest_step() == 10
    assert "step 30 is damaged: meta.json" in capsys.readouterr().err
    checkpoints.save(15, at(15))
    assert sorted(path.name for path in copy.iterdir()) == ["10", "15", "SHA256SUMS"]
    (copy / "15" / "meta.json").unlink()  # damage between the whole one and the next
    shutil.copytree(copy / "15", copy / "16")
    Checkpoints(copy).save(17, at(17))
    assert sorted(path.name for path in copy.iterdir()) == ["10", "17", "SHA256SUMS"]
    (copy / "17").rename(copy / "15")
    again = Checkpoints(copy)
    assert again.latest_step() == 10
    assert "step 15 is damaged: it is step 17 under another name" in capsys.readouterr().err
    again.save(15, at(16))
    capsys.readouterr()
    chex.assert_trees_all_equal(Checkpoints(copy).restore_state(SHAPES), at(16))
    assert capsys.readouterr().err == ""


def test_nothing_whole_is_one_sentence(copy):
    for step in ("10", "20"):
        (copy / step / "meta.json").unlink()
    opened = Checkpoints(copy)
    for call in (opened.latest_step, opened.record, lambda: opened.restore(SHAPES, batches()),
                 lambda: opened.save(40, STATE)):
        with pytest.raises(ValueError, match=r"that is whole \(step 20 is damaged: meta\.json is "
                                             r"missing; step 10 is damaged: .*from a copy, or"):
            call()


def old_checkpoint(folder, step):
    """As versions before the lists of hashes wrote it."""
    manager = ocp.CheckpointManager(folder, options=ocp.CheckpointManagerOptions(
        max_to_keep=2, enable_async_checkpointing=False))
    shapes = {name: list(leaf.shape) for name, leaf in STATE.items()}
    place = iter(grain.MapDataset.range(9).to_iter_dataset())
    manager.save(step, args=ocp.args.Composite(
        state=ocp.args.StandardSave(at(step)), data=grain.checkpoint.CheckpointSave(place),
        meta=ocp.args.JsonSave({"shapes": shapes, "record": {"error": 1.0}})))


def test_checkpoints_of_older_versions_open_and_that_is_told(tmp_path, capsys):
    for step in (3, 4):
        old_checkpoint(tmp_path, step)
    opened, data = Checkpoints(tmp_path), batches()
    chex.assert_trees_all_equal(opened.restore(SHAPES, data), at(4))
    assert data.position == 4 and opened.record() == {"error": 1.0}
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1 and "step 4" in told and "it has no hashes" in told
    for path in (tmp_path / "4" / "state" / "d").iterdir():
        path.write_bytes(path.read_bytes()[:9])
    chex.assert_trees_all_equal(Checkpoints(tmp_path).restore_state(SHAPES), at(3))
    assert "step 4 is damaged: orbax cannot read it" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "4" / "meta")
    opened = Checkpoints(tmp_path)
    opened.save(5, at(5))
    assert opened.latest_step() == 5 and (tmp_path / "3").is_dir()


def test_a_checkpoint_of_a_newer_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_steps, "FORMAT", 9)
    Checkpoints(tmp_path).save(1, STATE)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"was written by a newer version of this program .format "
                                         r"9, this one reads 2.; update this program"):
        Checkpoints(tmp_path).latest_step()


def test_checkpoint_of_another_network_is_refused(saved):
    checkpoints = Checkpoints(saved)
    with pytest.raises(ValueError, match=r"w is \[60, 100\] there and \[2, 4\] here"):
        checkpoints.restore_state({**STATE, "w": jnp.zeros((2, 4))})
    with pytest.raises(ValueError, match=r"more is absent there and \[1\] here"):
        checkpoints.restore({**STATE, "more": jnp.zeros(1)}, batches())


def test_full_disk_is_told_before_and_while_saving(copy, monkeypatch, caplog):
    checkpoints = Checkpoints(copy)
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 90, 10))
    with pytest.raises(ValueError, match="0 MB free"):
        checkpoints.check_disk(STATE)
    monkeypatch.undo()
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}

    def of_the_system(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def of_tensorstore(self, directory, **_):
        (directory / "half").mkdir(parents=True)
        logging.getLogger("absl").error("a page of traceback")
        raise ValueError("RESOURCE_EXHAUSTED: Error writing [os_error_code='28']")

    for place, name, full in ((ocp.Checkpointer, "save", of_tensorstore),
                              (os, "fsync", of_the_system),
                              (saved_steps.checksums, "of_files", of_the_system),
                              (type(copy), "rename", of_the_system)):
        monkeypatch.setattr(place, name, full)
        with pytest.raises(ValueError, match="is full, so step 30 was not saved; step 20 is kept"):
            checkpoints.save(30, at(30))
        monkeypatch.undo()
        assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()
                and path.name != "SHA256SUMS"} == {
            path: data for path, data in before.items() if path.name != "SHA256SUMS"}
        chex.assert_trees_all_equal(Checkpoints(copy).restore_state(SHAPES), at(20))
    assert not caplog.records
    checkpoints.save(30, at(30))
    assert Checkpoints(copy).latest_step() == 30


def test_one_may_read_while_another_saves(copy):
    """Deletions between looking and reading: the reader looks again."""
    reader = Checkpoints(copy)
    assert reader.latest_step() == 20
    writer = Checkpoints(copy)
    for step in (30, 40, 50):
        writer.save(step, at(step))
    chex.assert_trees_all_equal(reader.restore_state(SHAPES), at(50))
    assert reader.latest_step() == 50


@pytest.mark.parametrize(("place", "name", "call"), [
    (saved_steps, "replace", 1), (saved_steps.checksums, "write", 1),
    (saved_steps.checksums, "write", 2), (saved_steps.checksums, "write", 3),
    (saved_steps, "_remove", 1)])
def test_a_kill_anywhere_in_saving_leaves_a_folder_that_opens(copy, place, name, call, monkeypatch,
                                                              capsys):
    checkpoints, original, calls = Checkpoints(copy), getattr(place, name), itertools.count(1)
    checkpoints.latest_step()

    def killed(*arguments):
        if next(calls) == call:
            raise SystemExit
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, killed)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # nobody cleans up after a kill
        with pytest.raises(SystemExit):
            checkpoints.save(30, at(30))
    again = Checkpoints(copy)
    step = again.latest_step()
    assert step in (20, 30)
    chex.assert_trees_all_equal(again.restore_state(SHAPES), at(step))
    again.save(40, at(40))
    assert Checkpoints(copy).latest_step() == 40
    assert capsys.readouterr().err == ""
