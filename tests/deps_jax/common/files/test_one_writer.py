"""Two processes, or threads, that write one file: nothing is lost, and nothing is half written."""
import json
import multiprocessing
import os
import threading
import time

import pytest

from deps_jax.common.files import one_writer, sealed

LINES = 150


def add_lines(path, writer, start):
    start.wait()
    for i in range(LINES):
        sealed.append(path, {"writer": writer, "line": i})


def replace_often(path, writer, start):
    start.wait()
    for i in range(LINES):
        sealed.write(path, {"writer": writer, "text": f"{i}" * 5000}, indent=None)


def together(work, path):
    """Two processes at the same work; they must end well."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    running = [context.Process(target=work, args=(path, n, start)) for n in range(2)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0, 0]


def test_two_processes_add_to_one_log(tmp_path, capsys):
    path = tmp_path / "log.jsonl"
    together(add_lines, path)
    found = sealed.read_lines(path)
    assert not capsys.readouterr().err
    for writer in range(2):
        assert [one["line"] for one in found if one["writer"] == writer] == list(range(LINES))


def test_two_processes_replace_one_file(tmp_path):
    path = tmp_path / "record.json"
    together(replace_often, path)
    assert sealed.read(path, "")["text"] == f"{LINES - 1}" * 5000
    assert [one.name for one in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("locks", [True, False], ids=["locks", "no locks"])
def test_what_was_added_after_the_end_was_read_stays(tmp_path, monkeypatch, locks):
    """Without locks too: what is whole is never cut off."""
    path, real, other = tmp_path / "log.jsonl", sealed._parsed, []
    sealed.append(path, {"line": 0})
    if not locks:
        without_locks(monkeypatch)

    def slowly(row):
        if not other:
            other.append(threading.Thread(target=sealed.append, args=(path, {"line": 2})))
            other[0].start()
            other[0].join(0.3)
        return real(row)

    monkeypatch.setattr(sealed, "_parsed", slowly)
    sealed.append(path, {"line": 1})
    other[0].join()
    assert sorted(one["line"] for one in sealed.read_lines(path)) == [0, 1, 2]


@pytest.mark.parametrize("locks", [True, False], ids=["locks", "no locks"])
def test_a_file_is_replaced_while_another_replaces_it(tmp_path, monkeypatch, locks):
    path, real, others = tmp_path / "a[1].json", os.fsync, ["another"]
    if not locks:
        without_locks(monkeypatch)

    def fsync(number):
        real(number)
        if others:
            thread = threading.Thread(target=sealed.replace, args=(path, others.pop()))
            thread.start()
            thread.join()
            assert path.read_text() == "another"

    monkeypatch.setattr(os, "fsync", fsync)
    sealed.replace(path, "mine")
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]


def without_locks(monkeypatch):
    def none(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", none)


def test_what_a_killed_process_left_is_written_over(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.with_name("a.json.part").write_text("x" * 10_000)
    sealed.replace(path, "new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
    without_locks(monkeypatch)
    now, old = (path.with_name(f"a.json.{n}-1.part") for n in (1, 2))
    for left in (now, old, path.with_name("a.json.part")):
        left.write_text("x")
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    sealed.replace(path, "newer")
    assert path.read_text() == "newer" and set(tmp_path.iterdir()) == {path, now}


def test_windows_has_no_flock(tmp_path, monkeypatch):
    monkeypatch.setattr(one_writer, "fcntl", None)
    sealed.append(tmp_path / "a.json", {"line": 0})
    sealed.write(tmp_path / "b.json", {"a": 1})
    assert sealed.read_lines(tmp_path / "a.json") == [{"line": 0}]
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "b.json"}


def test_a_writer_that_is_stopped_stops_nobody(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    monkeypatch.setattr(one_writer, "WAIT_S", 0.1)
    with one_writer.log(path):
        sealed.append(path, {"line": 0})
    with one_writer.part(path):
        sealed.replace(path, json.dumps({"line": 1}) + "\n")
    assert sealed.read_lines(path) == [{"line": 1}]
