"""What a run leaves beside its checkpoints: its config and records, and its metrics."""
import errno
import json
import struct

import pytest
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from deps_jax.common.files import sealed, workdir
from deps_jax.common.loop.writer import Writer, read


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


def test_configs_are_compared_by_what_they_mean(tmp_path):
    """A field that is new since, or was written out then, does not count; an unknown one does."""
    def meaning(config):
        if config.keys() - {"seed", "depths"}:
            raise ValueError("config has no field 'frames'")
        return {"seed": 0, "depths": config.get("depths") or [2, 3], **{
            name: value for name, value in config.items() if name == "seed"}}

    workdir.claim(tmp_path, {"depths": (2, 3)}, meaning=meaning)
    workdir.claim(tmp_path, {"seed": 0, "depths": None}, meaning=meaning)
    assert workdir.load(tmp_path) == {"seed": 0, "depths": None}
    with pytest.raises(ValueError, match=r"depths is \[2, 3\] there and \[4\] now"):
        workdir.check(tmp_path, {"depths": (4,)}, meaning=meaning)
    workdir.claim(tmp_path / "other", {"frames": 8})
    with pytest.raises(ValueError, match=r"other/config\.json is of another version of this "
                       r"program, or .* of another kind \(config has no field 'frames'\); open it"):
        workdir.check(tmp_path / "other", {"seed": 0}, meaning=meaning)


def test_records_are_written_once_and_before_the_config(tmp_path, monkeypatch):
    """So that a folder with a config has them all, wherever the process was stopped."""
    config, folder = {"seed": 0}, tmp_path / "run"
    write = sealed.write

    def killed(path, *rest, **options):
        if path.name == workdir.CONFIG:
            raise SystemExit
        write(path, *rest, **options)

    monkeypatch.setattr(sealed, "write", killed)
    with pytest.raises(SystemExit):
        workdir.claim(folder, config, records={"a.json": {"of": "the first"}})
    monkeypatch.undo()
    workdir.claim(folder, config, records={"a.json": {"of": "the second"}})
    workdir.claim(folder, config, records={"a.json": {"of": "the third"}})
    assert workdir.read(folder, "a.json") == {"of": "the second"}
    (folder / "a.json").unlink()
    with pytest.raises(ValueError, match=r"a\.json does not exist; put it back from a copy, or"):
        workdir.read(folder, "a.json")
    (folder / "config.json").write_text('{"seed": 0}')  # of an older version
    assert workdir.read(folder, "a.json") is None


@pytest.mark.parametrize(("change", "message"), [
    (lambda text: text[:-20], "config.json is damaged, it is no longer JSON"),
    (lambda text: text.replace("0", "1", 1), "config.json is damaged or was edited by hand"),
])
def test_a_broken_config_is_named(tmp_path, change, message):
    workdir.claim(tmp_path, {"seed": 0})
    path = tmp_path / "config.json"
    path.write_text(change(path.read_text()))
    for call in (workdir.load, lambda folder: workdir.claim(folder, {"seed": 0})):
        with pytest.raises(ValueError, match=message):
            call(tmp_path)


def test_a_full_disk_ends_the_metrics_with_a_sentence(tmp_path, monkeypatch):
    """tensorboardX's own writer would wait for ever for its thread, which the disk has ended."""
    writer = Writer(tmp_path)
    writer.write(1, {"loss": 1.0})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(EventsWriter, "flush", full)
    with pytest.raises(ValueError, match=r"the disk of .*metrics\.jsonl is full, the last check"):
        writer.write(2, {"loss": 1.0})
    writer.close()
    monkeypatch.undo()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ValueError, match=r"metrics\.jsonl is full, what was there before is kept"):
        Writer(tmp_path, start_step=1)
    assert [line["step"] for line in read(tmp_path)] == [1, 2]


def events_of(path):
    data, events = path.read_bytes(), []
    while data:
        size, = struct.unpack("Q", data[:8])
        events.append(Event.FromString(data[12:12 + size]))
        data = data[16 + size:]
    return events


def test_a_second_try_without_a_checkpoint_hides_the_first(tmp_path):
    for _ in range(2):
        writer = Writer(tmp_path)
        writer.write(10, {"loss": 1.0})
        writer.close()
    first, second = map(events_of, sorted((tmp_path / "tensorboard").iterdir()))
    assert [event.step for event in first] == [0, 10]
    assert [event.step for event in second] == [0, 1, 10]
    assert second[1].session_log.status == SessionLog.START


def test_tensorboard_sees_what_was_written(tmp_path):
    writer = Writer(tmp_path, start_step=20)
    writer.write(30, {"validation/top1": 0.5})
    writer.close()
    events = events_of(next((tmp_path / "tensorboard").iterdir()))
    assert [event.step for event in events] == [0, 21, 30]
    assert events[1].session_log.status == SessionLog.START
    value, = events[2].summary.value
    assert (value.tag, value.simple_value) == ("validation/top1", 0.5)


def test_flatten():
    assert workdir.flatten({"a": {"b": 1, "c": {"d": 2}}}) == {"a.b": 1, "a.c.d": 2}
    assert json.dumps(workdir.flatten({})) == "{}"
