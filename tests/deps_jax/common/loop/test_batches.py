"""The order of batches, and that it is the same whoever reads them."""
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from absl import flags

from deps_jax.common.loop.batches import Batches, Order

ROOT = Path(__file__).parents[4]


def noisy(example, generator):
    return {"label": example, "noise": generator.uniform(0, 1)}


def taken(batches, count):
    """[(labels, noise)] of the next batches; the reader is ended."""
    rows = [next(batches) for _ in range(count)]
    batches.close()
    return [(row["label"].tolist(), row["noise"].tolist()) for row in rows]


def noisy_batches(seed=3, **reader):
    flags.FLAGS.mark_as_parsed()  # as launchers do
    return Batches(range(10), 4, seed, change=noisy, **reader)


def test_the_order_is_what_it_always_was():
    """Recorded of grain's own `shuffle()[:8].repeat().random_map(noisy)`, version 0.2.18."""
    rows = taken(noisy_batches(seed=3), 5)
    assert [labels for labels, _ in rows] == [
        [4, 6, 9, 7], [5, 3, 1, 8], [8, 1, 3, 7], [9, 0, 5, 4], [4, 0, 7, 9]]
    np.testing.assert_allclose(rows[1][1], [0.05570577407931865, 0.33839245695656917,
                                            0.77956472278292, 0.1916939263064502], rtol=1e-15)


def test_every_example_is_seen_in_time_and_none_twice_in_an_epoch():
    """10 examples, batches of 4: two are left out of every epoch, and not always the same."""
    batches = Batches(range(10), 4, seed=0, threads=0)
    epochs = [np.concatenate([next(batches), next(batches)]).tolist() for _ in range(50)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 50
    seen = np.bincount(np.concatenate(epochs), minlength=10)
    assert (seen > 30).all() and seen.sum() == 400  # 40 each, on average


def test_whole_epochs_are_permutations():
    batches = Batches(range(10), 5, seed=0, threads=0)
    epochs = [np.concatenate([next(batches), next(batches)]).tolist() for _ in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def continued(readers):
    """Two batches of each reader, every one seeking where the one before stopped."""
    rows = []
    for reader in readers:
        batches = noisy_batches(**reader)
        batches.seek(len(rows))
        rows += taken(batches, 2)
        assert batches.position == len(rows)
    return rows


def test_a_run_continues_on_the_same_batches_whoever_reads():
    whole = taken(noisy_batches(threads=0), 8)
    assert whole != taken(noisy_batches(seed=4), 8)
    assert continued([{}, {"workers": 2}, {"threads": 3}, {"threads": 0}]) == whole


@pytest.mark.long
def test_other_numbers_of_workers():
    readers = [{"workers": n, "threads": 1} for n in (3, 0, 1)]
    assert continued(readers) == taken(noisy_batches(threads=0), 6)


def test_seek_goes_back_and_forth():
    batches = noisy_batches()
    whole = taken(batches, 6)
    for position in (4, 0, 5):
        batches.seek(position)
        assert taken(batches, 1) == whole[position:position + 1]
    with pytest.raises(ValueError, match="position -1 is negative"):
        batches.seek(-1)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_only_a_few_batches_are_read_ahead(threads):
    read, lock = [], threading.Lock()

    def count(example, _):
        with lock:
            read.append(example)
        return {"label": example}

    batches = Batches(range(100), 5, seed=0, threads=threads, change=count)
    assert not read
    for step in range(1, 4):
        next(batches)
        time.sleep(0.2)  # an unbounded reader would have read thousands
        assert 5 * step <= len(read) <= 5 * (step + threads)
    batches.close()


class Touched:
    """Examples that leave a file each: seen by other processes, too."""

    def __init__(self, folder):
        self.folder = folder

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        (self.folder / f"{index}-{time.monotonic_ns()}").touch()
        return index


@pytest.mark.long
def test_workers_read_only_a_few_batches_ahead(tmp_path):
    flags.FLAGS.mark_as_parsed()
    batches = Batches(Touched(tmp_path), 5, seed=0, workers=2, threads=1)
    next(batches)
    time.sleep(1)
    read = len(list(tmp_path.iterdir())) / 5
    batches.close()
    assert 1 <= read <= 1 + 2 * 5


PROGRAM = """
import signal, sys
from absl import flags
from deps_jax.common.loop.batches import Batches

def main():
    flags.FLAGS.mark_as_parsed()
    asked = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: asked.append(number))
    batches = Batches(range(1000), 5, seed=0, workers=2)
    print("starting", flush=True)
    for _ in range(40):  # more than wait in memory
        next(batches)
    print("running", flush=True)
    while not asked:
        next(batches)
    for _ in range(40):
        next(batches)
    batches.close()
    print("saved", flush=True)

if __name__ == "__main__":
    main()
"""


def started(tmp_path):
    """A process with two workers, the three in a group of their own."""
    (tmp_path / "program.py").write_text(PROGRAM)
    process = subprocess.Popen([sys.executable, str(tmp_path / "program.py")], cwd=ROOT, text=True,
                               env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == "starting\n"
    return process


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0, 1, None])
def test_a_signal_to_the_whole_group_leaves_the_readers_alive(tmp_path, number, seconds):
    """Also while they start, which takes a few seconds; None is when they run."""
    process = started(tmp_path)
    said = ""
    if seconds is None:
        said = process.stdout.readline()
    else:
        time.sleep(seconds)
    os.killpg(process.pid, number)
    said += process.communicate(timeout=120)[0]
    assert said == "running\nsaved\n" and process.returncode == 0


@pytest.mark.long
def test_readers_end_with_a_run_that_was_killed(tmp_path):
    process = started(tmp_path)
    assert process.stdout.readline() == "running\n"
    process.kill()
    process.wait()
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("workers outlive the run")


def test_a_batch_that_does_not_fit_is_refused():
    assert Order(10, 4, seed=0).steps_per_epoch == 2
    for batch_size in (0, 11):
        with pytest.raises(ValueError, match=f"batch size {batch_size} does not fit 10 training"):
            Batches(range(10), batch_size, seed=0)
    with pytest.raises(ValueError, match="does not fit 3 visits; use 1 to 3"):
        Batches(range(3), 4, seed=0, unit="visits")
    with pytest.raises(ValueError, match="seed -1 is negative"):
        Batches(range(3), 2, seed=-1)
