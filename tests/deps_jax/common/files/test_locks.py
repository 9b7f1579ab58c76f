"""Who may be in a folder: told by another process, since within one process locks say nothing."""
import os
import subprocess
import sys
import threading

import fasteners
import pytest
from other_process import holding

from deps_jax.common.files import locks


def test_a_second_process_is_refused_at_once_and_admitted_after_a_kill(tmp_path):
    with holding(tmp_path / locks.TRAINING) as other:
        with pytest.raises(ValueError, match=f"in use: process {other.pid} trains there; wait"), \
                locks.training(tmp_path):
            raise AssertionError("let in")
        other.kill()
        other.wait()
        with locks.training(tmp_path):
            assert (tmp_path / locks.TRAINING).read_text() == f"{os.getpid()}\n"


def test_one_process_does_not_train_twice_in_a_folder(tmp_path):
    with locks.training(tmp_path), \
            pytest.raises(ValueError, match="is in use: this process trains there"), \
            locks.training(tmp_path / "." / ".." / tmp_path.name):
        raise AssertionError("let in")
    with pytest.raises(KeyError), locks.training(tmp_path):
        raise KeyError
    with locks.training(tmp_path):  # both locks were given back
        pass


def test_a_process_that_was_started_does_not_hold_the_lock(tmp_path):
    with locks.training(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE,
                                 close_fds=False)
    with child, holding(tmp_path / locks.TRAINING):  # would wait for ever
        child.kill()


def test_a_folder_is_taken_only_if_it_is_free(tmp_path):
    with holding(tmp_path / locks.ALONE) as other:
        with locks.if_free(tmp_path) as free:
            assert not free
        other.kill()
        other.wait()
        with locks.if_free(tmp_path) as free:
            assert free
            program = ("import fasteners, sys; "
                       "print(fasteners.InterProcessLock(sys.argv[1]).acquire(blocking=False))")
            said = subprocess.run([sys.executable, "-c", program, str(tmp_path / locks.ALONE)],
                                  capture_output=True, text=True, check=True)
            assert said.stdout == "False\n"
    with holding(tmp_path / locks.ALONE):  # would wait for ever
        pass


def test_a_drive_without_locks_is_told(tmp_path, monkeypatch, capsys):
    def none(*_, **__):
        raise threading.ThreadError("Unable to acquire lock: No locks available")

    monkeypatch.setattr(fasteners.InterProcessLock, "acquire", none)
    monkeypatch.setattr(fasteners.InterProcessReaderWriterLock, "acquire_write_lock", none)
    monkeypatch.setattr(fasteners.InterProcessReaderWriterLock, "acquire_read_lock", none)
    with locks.training(tmp_path), locks.alone(tmp_path, "waiting"), \
            locks.if_free(tmp_path) as free:
        assert free
        locks.use(tmp_path, lambda: pytest.fail("alone for all that is known"))
    locks._USED.clear()
    out, err = capsys.readouterr()
    assert out == "" and "knows no locks, so a second process" in err


def test_only_who_is_alone_may_delete(tmp_path):
    calls = []
    locks.use(tmp_path, lambda: calls.append(1))
    locks.use(tmp_path, lambda: calls.append(2))  # has been used by this process
    assert calls == [1]
    locks._USED.pop(str(tmp_path.resolve())).release_read_lock()
    program = ("import sys; from pathlib import Path; from deps_jax.common.files import locks\n"
               "locks.use(Path(sys.argv[1])); print('used', flush=True); input()")
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "used\n"
        locks.use(tmp_path, lambda: calls.append(3))
        other.kill()
    assert calls == [1]
    locks._USED.pop(str(tmp_path.resolve())).release_read_lock()
