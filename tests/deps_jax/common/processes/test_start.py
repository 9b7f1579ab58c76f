"""Flags and environments that name other processes of a run."""
import os
import subprocess
import sys

import jax
import pytest
from members import free_port

from deps_jax.common.processes.start import (
    Meeting,
    has_machine,
    leaving_at_once,
    meet,
    says_several,
)


@pytest.mark.parametrize(("environment", "several"), [
    ({}, False),
    ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_STEP_NODELIST": "n[1-4]"}, True),
    ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, False),  # a batch script, outside of srun
    ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_STEP_NODELIST": "n1"}, False),
    ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, True),
    ({"TPU_WORKER_HOSTNAMES": "one,two"}, True),
    ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
])
def test_launchers_say_how_many_there_are(environment, several):
    assert says_several(environment) is several


@pytest.mark.parametrize(("given", "sentence"), [
    ({"distributed": "maybe"}, "--distributed 'maybe' is unknown"),
    ({"processes": 2}, "tell nothing without --coordinator"),
    ({"process": 0}, "tell nothing without --coordinator"),
    ({"coordinator": "node0", "processes": 2, "process": 0}, "'node0' is not HOST:PORT"),
    ({"coordinator": "node0:many", "processes": 2, "process": 0}, "is not HOST:PORT"),
    ({"coordinator": "node0:99999", "processes": 2, "process": 0}, "is not HOST:PORT"),
    ({"coordinator": "node0:1234"}, "--process -1 of --processes 0 is none"),
    ({"coordinator": "node0:1234", "processes": 2, "process": 2}, "--process 2 of --processes 2"),
])
def test_flags_that_name_no_process(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        Meeting(**given)


def test_one_process_is_left_alone():
    meet(Meeting(), {})
    meet(Meeting("off"), {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"})


def test_nothing_that_names_processes_is_told():
    with pytest.raises(ValueError, match=r"did not meet .* give all of them the same --coord"):
        meet(Meeting("on"), {})


def test_open_mpi_5_is_told_to_name_the_first_process():
    """It sets no OMPI_MCA_orte_hnp_uri, by which JAX would find the first process."""
    # In a process of its own: JAX asks nobody once it has opened devices.
    ended = subprocess.run(
        [sys.executable, "-c", "import os; from deps_jax.common.processes.start import *; "
         "meet(Meeting(), os.environ)"], capture_output=True, text=True,
        env={**os.environ, "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"})
    assert ended.returncode == 1 and "coordinator_address should be defined" in ended.stderr
    assert "--coordinator HOST:PORT" in ended.stderr


class Ended(BaseException):
    """What `os._exit` is in a test."""


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize(("error", "code"), [
    (SystemExit(75), 75), (SystemExit("why"), 1), (OSError("full"), 1)], ids=str)
def test_one_of_several_that_fails_has_said_all(error, code, closed, monkeypatch, capsys):
    """Also where nobody reads any more what it says."""
    def end(code):
        raise Ended(code)

    class Stream:
        flushed = False

        def write(self, text):
            return len(text)

        def flush(self):
            self.flushed = True
            if closed:
                raise BrokenPipeError

    said = Stream()
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(sys, "stdout", said)
    with pytest.raises(Ended) as ended, leaving_at_once():
        raise error
    assert ended.value.args == (code,) and said.flushed
    assert ("OSError: full" in capsys.readouterr().err) is isinstance(error, OSError)


def test_one_alone_that_fails_ends_as_ever():
    with pytest.raises(SystemExit, match="75"), leaving_at_once():
        raise SystemExit(75)


VISIBLE = """
import jax
from jax._src import xla_bridge
from deps_jax.common.processes.start import Meeting, meet

meet(Meeting("on"))
assert jax.process_count() == 1 and jax.distributed.is_initialized()
for name in ("cuda", "rocm"):
    print(xla_bridge._options_from_jax_configs(name).get("visible_devices", "all"))
"""
SLURM = {"SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "1", "SLURM_PROCID": "0",
         "SLURM_LOCALID": "0"}
OPEN_MPI = {"OMPI_MCA_orte_hnp_uri": "PORT.0;tcp://127.0.0.1:1", "OMPI_COMM_WORLD_SIZE": "1",
            "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}


@pytest.mark.parametrize(("environment", "alone"), [
    ({}, False),
    ({"SLURM_NTASKS": "2", "SLURM_STEP_NUM_NODES": "2"}, True),
    ({"SLURM_NTASKS": "4", "SLURM_STEP_NUM_NODES": "2"}, False),
    ({"SLURM_NTASKS": "2"}, False),
    ({"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, True),
    ({"OMPI_COMM_WORLD_LOCAL_SIZE": "8"}, False),
])
def test_launchers_say_who_has_a_machine(environment, alone):
    assert has_machine(environment) is alone


@pytest.mark.parametrize(("environment", "seen"), [
    (SLURM, "[0]"),  # what it would be otherwise
    ({**SLURM, "SLURM_STEP_NUM_NODES": "1"}, "all"),
    ({**SLURM, "SLURM_STEP_NUM_NODES": "1", "JAX_LOCAL_DEVICE_IDS": "4,5"}, "[4, 5]"),
    ({**OPEN_MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, "all"),
])
def test_the_only_process_of_a_machine_sees_all_its_devices(environment, seen):
    """JAX shows each process of a launcher the one GPU of its number on the machine."""
    port = free_port()
    environment = {name: value.replace("PORT", str(port * 2**12))
                   for name, value in environment.items()}
    ended = subprocess.run(
        [sys.executable, "-c", VISIBLE], capture_output=True, text=True, check=False,
        env={**os.environ, **environment, "SLURM_JOB_ID": str(port)})
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[0] == seen
