"""Several processes of one CPU device each train what one trains, and tell what keeps them."""
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from deps_jax.common.loop import writer
from deps_jax.common.loop.run import saved

ROOT = Path(__file__).parents[4]
MEMBER = Path(__file__).with_name("member.py")


def free_port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def one_device():
    """This environment without the tests' second device."""
    flags = os.environ["XLA_FLAGS"].replace("--xla_force_host_platform_device_count=2", "")
    return {**os.environ, "XLA_FLAGS": flags}


def train_together(what, count, folder):
    """What the first of so many processes has at the end, by name."""
    port, out = free_port(), folder / f"{what}{count}.npz"
    members = [subprocess.Popen(
        [sys.executable, str(MEMBER), what, str(count), str(index), str(port), str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=one_device())
        for index in range(count)]
    said = [member.communicate(timeout=600)[0] for member in members]
    assert [member.returncode for member in members] == [0] * count, said
    with np.load(out) as found:
        return dict(found)


@pytest.mark.parametrize(("what", "count"), [
    ("DEPS", 2), pytest.param("NURTURE", 2, marks=pytest.mark.long)])
def test_processes_together_train_what_one_trains(what, count, tmp_path):
    """Five steps across all phases, in float64; NurtureNet normalises its clips in float32."""
    alone, together = (train_together(what, n, tmp_path) for n in (1, count))
    assert alone.keys() == together.keys()
    tolerance = 1e-9 if what == "DEPS" else 3e-6
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], value, rtol=tolerance, atol=tolerance,
                                   err_msg=name)


def test_slurm_brings_them_together_and_what_differs_is_named():
    environment = {**one_device(), "SLURM_JOB_ID": str(free_port()),
                   "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    members = [subprocess.Popen(
        [sys.executable, str(MEMBER), "MEET", "2", str(index), "0", "-"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**environment, "SLURM_PROCID": str(index), "SLURM_LOCALID": str(index)})
        for index in range(2)]
    said = [member.communicate(timeout=120)[0] for member in members]
    for index, text in enumerate(said):
        assert f"process {index} of 2" in text, text
        assert "process 1 has another data than process 0 (here it is" in text
        assert "with --workdir on a drive that they share" in text


def start_training(workdir, count):
    """Processes of `launch.train_supernet` on the digits, which save often."""
    port, environment = free_port(), one_device()
    together = ["--coordinator", f"localhost:{port}", "--processes", str(count)] * (count > 1)
    return [subprocess.Popen(
        [sys.executable, "-m", "launch.train_supernet", "--config", "configs/deps_digits.py:tiny",
         "--workdir", str(workdir), *together, *(["--process", str(index)] * (count > 1))],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
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
