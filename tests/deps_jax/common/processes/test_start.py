"""Flags and environments that name other processes of a run."""
import pytest

from deps_jax.common.processes.start import Meeting, meet, says_several


@pytest.mark.parametrize(("environment", "several"), [
    ({}, False),
    ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, True),
    ({"SLURM_NTASKS": "4"}, False),  # a batch script, outside of srun
    ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, False),
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
