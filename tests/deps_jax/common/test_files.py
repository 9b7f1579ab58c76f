"""Writer, workdir and checkpoints: what is on disk, and what is refused."""
import errno
import json
import shutil
from collections import namedtuple

import chex
import grain
import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import pytest

from deps_jax.common import workdir
from deps_jax.common.batches import Batches
from deps_jax.common.checkpoint import Checkpoints
from deps_jax.common.writer import Writer, read


def test_metrics_continue_where_the_checkpoint_is(tmp_path):
    writer = Writer(tmp_path)
    for step in (10, 20, 30):
        writer.write(step, {"loss": 1.0 / step})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "lo')  # killed while writing
    assert [record["step"] for record in read(tmp_path)] == [10, 20, 30]
    writer = Writer(tmp_path, start_step=20)
    writer.write(30, {"loss": 7.0})
    writer.close()
    assert [(r["step"], r["loss"]) for r in read(tmp_path)] == [(10, 0.1), (20, 0.05), (30, 7.0)]
    assert list((tmp_path / "tensorboard").iterdir())


def test_workdir_belongs_to_one_experiment(tmp_path):
    config = {"seed": 0, "data": {"dir": "a", "n": [1, 2]}}
    workdir.claim(tmp_path / "run", config)
    assert workdir.load(tmp_path / "run") == config
    workdir.claim(tmp_path / "run", {"seed": 0, "data": {"dir": "b", "n": (1, 2)}},
                  may_differ=("data.dir",))
    with pytest.raises(ValueError, match="seed is 0 there and 1 now"):
        workdir.claim(tmp_path / "run", {**config, "seed": 1})
    with pytest.raises(ValueError, match=r"data\.new is 'absent' there"):
        workdir.claim(tmp_path / "run", {"seed": 0, "data": {**config["data"], "new": 1}},
                      may_differ=("data.dir",))
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        workdir.claim(tmp_path / "file", config)
    with pytest.raises(ValueError, match="holds no experiment"):
        workdir.load(tmp_path)


def batches():
    return Batches(range(100), 2, seed=0)


STATE = {"w": jnp.arange(6.0).reshape(2, 3), "step": jnp.int32(4)}


def test_a_state_alone_with_a_record(tmp_path):
    assert Checkpoints(tmp_path, keep=1).record() == {}
    for step, error in ((3, 2.5), (7, 1.5)):
        Checkpoints(tmp_path, keep=1).save(step, STATE, record={"error": error})
    again = Checkpoints(tmp_path, keep=1)
    assert again.record() == {"error": 1.5} and again.latest_step() == 7
    chex.assert_trees_all_equal(again.restore_state(STATE), STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["7"]


def test_checkpoint_restores_state_and_place_in_the_data(tmp_path):
    checkpoints, taken = Checkpoints(tmp_path, keep=2), batches()
    next(taken)  # so that steps and batches are not the same number
    for step in (1, 2, 3):
        next(taken)
        checkpoints.save(step, jax.tree.map(lambda leaf, s=step: leaf + s, STATE), taken.position)
    expected = next(taken).tolist()
    again, fresh = Checkpoints(tmp_path), batches()
    assert again.latest_step() == 3
    state = again.restore(jax.eval_shape(lambda: STATE), fresh)
    chex.assert_trees_all_equal(state, jax.tree.map(lambda leaf: leaf + 3, STATE))
    assert fresh.position == 4 and next(fresh).tolist() == expected
    assert not (tmp_path / "1").exists()  # two are kept


def test_a_checkpoint_of_an_earlier_version_continues_where_it_was(tmp_path):
    """It held the place in the data as grain's state, which was one batch a step."""
    checkpoints, place = Checkpoints(tmp_path), grain.MapDataset.range(9).to_iter_dataset()
    items = ocp.args.Composite(
        state=ocp.args.StandardSave(STATE),
        meta=ocp.args.JsonSave({"shapes": {"step": [], "w": [2, 3]}, "record": {}}),
        data=grain.checkpoint.CheckpointSave(iter(place)))
    checkpoints._manager.save(5, args=items)
    fresh = batches()
    chex.assert_trees_all_equal(Checkpoints(tmp_path).restore(STATE, fresh), STATE)
    assert fresh.position == 5


def test_checkpoint_of_another_network_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(ValueError, match="holds no checkpoint"):
        checkpoints.restore_state(STATE)
    checkpoints.save(1, STATE)
    with pytest.raises(ValueError, match=r"w is \[2, 3\] there and \[2, 4\] here"):
        checkpoints.restore_state({**STATE, "w": jnp.zeros((2, 4))})
    with pytest.raises(ValueError, match=r"more is absent there and \[1\] here"):
        checkpoints.restore({**STATE, "more": jnp.zeros(1)}, batches())


def test_full_disk_is_told_before_and_while_saving(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.check_disk(STATE)
    checkpoints.save(1, STATE)
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 90, 10))
    with pytest.raises(ValueError, match="0 MB free"):
        checkpoints.check_disk(STATE)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints._manager, "save", full)
    with pytest.raises(ValueError, match="full at step 2, the checkpoint of step 1 is kept"):
        checkpoints.save(2, STATE)


def test_flatten():
    assert workdir.flatten({"a": {"b": 1, "c": {"d": 2}}}) == {"a.b": 1, "a.c.d": 2}
    assert json.dumps(workdir.flatten({})) == "{}"
