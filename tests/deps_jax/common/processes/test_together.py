"""Several processes of some CPU devices train what one trains, and tell what keeps them."""
import dataclasses
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from members import MEMBER, environment, free_port, said_by, start

from deps_jax.common.loop import writer
from deps_jax.common.loop.run import saved
from deps_jax.common.processes.together import all_devices, my_places

ROOT = Path(__file__).parents[4]


@dataclasses.dataclass(frozen=True)
class FakeDevice:
    id: int
    process_index: int


# As on a slice of 2 x 4 chips in two machines of 2 x 2: their numbers go along the rows.
SLICE = [FakeDevice(i, i // 2 % 2) for i in range(8)]


@pytest.mark.parametrize(("parts", "found"), [
    (1, [[*range(8)], [*range(8, 16)]]),
    (2, [[*range(4), *range(8, 12)], [*range(4, 8), *range(12, 16)]])])
def test_places_are_those_of_the_devices_of_a_process(parts, found, monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: SLICE)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    # Neighbours in the batch are neighbours of one process, in the order of its own devices.
    assert [device.id for device in all_devices()] == [0, 1, 4, 5, 2, 3, 6, 7]
    for process in range(2):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        assert my_places(16, parts).tolist() == found[process]


def test_one_process_takes_all_places():
    assert my_places(16) is None and all_devices() == jax.devices()


def train_together(what, count, folder, devices=1, **settings):
    """What the first of so many processes has at the end, by name."""
    out = folder / f"{count}.npz"
    said, codes = said_by(start(what, count, out, devices, **settings))
    assert codes == [0] * count, said
    with np.load(out) as found:
        return dict(found)


FIVE = {"dtype": "float64"}  # steps across all phases
ONE = {"dtype": "float32", "steps": 1}
LONG = pytest.mark.long


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process has at the end, trained once."""
    found = {}

    def train(what, **settings):
        key = what, *sorted(settings.items())
        if key not in found:
            found[key] = train_together(what, 1, tmp_path_factory.mktemp(what), **settings)
        return found[key]

    return train


@pytest.mark.parametrize(("what", "count", "devices", "settings"), [
    ("DEPS", 2, 1, FIVE),
    pytest.param("DEPS", 4, 1, FIVE, marks=LONG),
    pytest.param("DEPS", 2, 2, {**FIVE, "parts": 2}, marks=LONG),  # each in two, one after another
    pytest.param("DEPS", 2, 1, ONE, marks=LONG),
    pytest.param("NURTURE", 2, 1, FIVE, marks=LONG),
    pytest.param("NURTURE", 4, 1, FIVE, marks=LONG),
    pytest.param("NURTURE", 2, 2, FIVE, marks=LONG),
    pytest.param("NURTURE", 2, 1, ONE, marks=LONG)])
def test_processes_together_train_what_one_trains(what, count, devices, settings, alone,
                                                  tmp_path):
    one = alone(what, **settings)
    together = train_together(what, count, tmp_path, devices, **settings)
    assert one.keys() == together.keys()
    tolerance = 1e-9 if settings["dtype"] == "float64" else 1e-5
    for name, value in one.items():
        np.testing.assert_allclose(together[name], value, rtol=tolerance, atol=tolerance,
                                   err_msg=name)


def test_slurm_brings_them_together_and_what_differs_is_named():
    slurm = {**environment(), "SLURM_JOB_ID": str(free_port()),
             "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    members = [subprocess.Popen(
        [sys.executable, str(MEMBER), "MEET", "2", str(index), "0", "-"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**slurm, "SLURM_PROCID": str(index), "SLURM_LOCALID": str(index)})
        for index in range(2)]
    said, _ = said_by(members)
    for index, text in enumerate(said):
        assert f"process {index} of 2" in text, text
        assert "process 1 has another data than process 0 (here it is" in text
        assert "with --workdir on a drive that they share" in text


def test_two_processes_do_and_decide_as_one(tmp_path):
    """The first acts, and its failure is told by both; what would train differently is refused."""
    said, codes = said_by(start("AGREE", 2, tmp_path))
    assert codes == [0, 0], said
    first, other = (re.findall(r"^told: (.*)$", text, re.MULTILINE) for text in said)
    assert (first[:2], other[:2]) == (
        ["[0]", "OSError: no room is left"],
        ["[]", "ValueError: the first process could not go on: no room is left"])
    for lines in (first, other):
        assert lines[2:4] == ["{'error': 1.5}", "alike is claimed"], lines
        for line, what in zip(lines[4:8], ("config", "data", "version", "checkpoint"), strict=True):
            assert f"process 1 has another {what} than process 0" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "alike", "config", "data", "version"]


def test_one_that_fails_does_not_wait_for_the_others():
    """Which wait for it; an ordinary end would wait for them, too."""
    first, other = start("LEAVE", 2)
    try:
        assert other.wait(timeout=60) == 7
        assert first.poll() is None
    finally:
        for member in (first, other):
            member.kill()
            member.communicate()


def start_training(workdir, count):
    """Processes of `launch.train_supernet` on the digits, which save often."""
    port, one_device = free_port(), environment()
    together = ["--coordinator", f"localhost:{port}", "--processes", str(count)] * (count > 1)
    return [subprocess.Popen(
        [sys.executable, "-m", "launch.train_supernet", "--config", "configs/deps_digits.py:tiny",
         "--workdir", str(workdir), *together, *(["--process", str(index)] * (count > 1))],
        cwd=ROOT, env=one_device, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for index in range(count)]


def ends(members):
    said = [member.communicate(timeout=600)[0] for member in members]
    assert [member.returncode for member in members] == [0] * len(members), said
    return said


def losses(workdir):
    """Losses by step, as far as they were written."""
    return {line["step"]: line["loss"] for line in writer.read(workdir) if "loss" in line}


@pytest.mark.long
@pytest.mark.parametrize("index", [0, 1])
def test_the_stop_of_one_is_the_stop_of_all(index, tmp_path):
    """SIGTERM to either of two: both save the same step; two go on to the bit, one as they would.

    One process sums in another order, which thirty steps make large; so its next step is compared.
    """
    ends(start_training(tmp_path / "undisturbed", 2))
    members = start_training(tmp_path / "stopped", 2)
    while not (tmp_path / "stopped/checkpoints").is_dir() and all(
            member.poll() is None for member in members):
        time.sleep(0.01)
    time.sleep(random.Random(index).uniform(0, 1))
    members[index].send_signal(signal.SIGTERM)
    said = ends(members)
    step = saved(tmp_path / "stopped").latest_step()
    assert all(f"stopped after step {step} of" in text for text in said), said
    ends(start_training(tmp_path / "stopped", 2 - index))
    whole, found = (saved(tmp_path / name) for name in ("undisturbed", "stopped"))
    assert found.latest_step() == whole.latest_step() > step
    if index == 0:
        arrays = found.arrays()
        for name, value in whole.arrays().items():
            np.testing.assert_array_equal(arrays[name], value, err_msg=name)
    once, again = (losses(tmp_path / name) for name in ("undisturbed", "stopped"))
    assert again[step + 1] == pytest.approx(once[step + 1], rel=1e-5)
