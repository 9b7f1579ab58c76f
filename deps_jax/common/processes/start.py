"""Brings the processes of a run together (`jax.distributed`), before any device is touched.

By flags, or by the environment in which SLURM, Open MPI, Kubernetes or a TPU pod starts them.
"""
from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import traceback
from collections.abc import Iterator, Mapping

import jax

# How many processes the launchers that JAX knows say that there are; above 1, they are one run.
_COUNTS = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
# What only a process has that they have started: a batch script of SLURM has SLURM_PROCID, too.
_STARTED = ("SLURM_STEP_NODELIST", "OMPI_COMM_WORLD_RANK")
_HOSTS = ("TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES")  # of a TPU pod, joined by commas
WAYS = ("auto", "on", "off")


@dataclasses.dataclass(frozen=True)
class Meeting:
    """Where processes meet, as flags tell it.

    Attributes:
      distributed: "on" brings together what the environment names, "off" nothing; "auto" does it
        where the environment says that there are several.
      coordinator: HOST:PORT of the first process; "" leaves all three to the environment.
      processes, process: How many there are, and which one this is, from 0.
    """

    distributed: str = "auto"
    coordinator: str = ""
    processes: int = 0
    process: int = -1

    def __post_init__(self) -> None:
        if self.distributed not in WAYS:
            raise ValueError(f"--distributed {self.distributed!r} is unknown; use one of {WAYS}")
        if not self.coordinator:
            if self.processes or self.process >= 0:
                raise ValueError("--processes and --process tell nothing without --coordinator; "
                                 "give HOST:PORT of the first process, the same to all")
            return
        host, _, port = self.coordinator.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"--coordinator {self.coordinator!r} is not HOST:PORT; give the "
                             f"machine of the first process and a free port, such as node0:12345")
        if not 0 <= self.process < self.processes:
            raise ValueError(f"--process {self.process} of --processes {self.processes} is none; "
                             f"with --coordinator give how many there are, and which one this is "
                             f"from 0 on")


def meet(meeting: Meeting, environment: Mapping[str, str] | None = None) -> None:
    """Brings the processes together; does nothing where there is one.

    The only one of its machine sees all GPUs there; of several that a launcher has started on one
    machine, each sees one. All but the first fall silent on stdout; what goes wrong is still told
    on stderr.

    Args:
      environment: Names and values; None takes those of this process.

    Raises:
      ValueError: If they cannot meet.
    """
    environment = os.environ if environment is None else environment
    if meeting.distributed == "off" or jax.distributed.is_initialized():
        return
    if meeting.coordinator:
        _initialize(environment, coordinator_address=meeting.coordinator,
                    num_processes=meeting.processes, process_id=meeting.process)
    elif meeting.distributed == "on" or says_several(environment):
        _initialize(environment)
    else:
        return
    if jax.process_index():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, until the process ends


@contextlib.contextmanager
def leaving_at_once() -> Iterator[None]:
    """Inside, one of several processes that fails ends at once, with the exit code it would have.

    It would wait minutes for the others otherwise, which wait for it; so they end, too, when JAX
    sees that it has gone.
    """
    try:
        yield
    except BaseException as error:
        if not jax.distributed.is_initialized() or jax.process_count() == 1:
            raise
        code = error.code if isinstance(error, SystemExit) else 1
        if not isinstance(error, SystemExit):
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):  # which an ordinary end would do
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(code if isinstance(code, int) else 1)


def says_several(environment: Mapping[str, str]) -> bool:
    """Whether a launcher says in the environment that this is one of several processes."""
    number = lambda name: _number(environment, name)
    by_count = any(started in environment and number(name) > 1
                   for name, started in zip(_COUNTS, _STARTED, strict=True))
    return by_count or any("," in environment.get(name, "") for name in _HOSTS)


def has_machine(environment: Mapping[str, str]) -> bool:
    """Whether a launcher says that this process is the only one of its run on its machine."""
    number = lambda name: _number(environment, name)
    # A step of SLURM has a task on each of its machines.
    by_slurm = 0 < number("SLURM_NTASKS") == number("SLURM_STEP_NUM_NODES")
    return by_slurm or number("OMPI_COMM_WORLD_LOCAL_SIZE") == 1


def _number(environment: Mapping[str, str], name: str) -> int:
    return int(environment.get(name, "") or 0)


def _initialize(environment: Mapping[str, str], **where: str | int) -> None:
    try:
        jax.distributed.initialize(**where)
    except (RuntimeError, ValueError) as error:  # a time that is over, or nothing that names them
        raise ValueError(
            f"the processes did not meet ({str(error).splitlines()[0]}); give all of them the same "
            f"--coordinator HOST:PORT and --processes, each its own --process, or --distributed="
            f"off for one process alone") from error
    # Under SLURM and Open MPI, JAX has shown this process but the GPU that has its number on the
    # machine. It opens them later, when devices are asked for.
    if has_machine(environment) and not environment.get("JAX_LOCAL_DEVICE_IDS"):
        jax.config.update("jax_cuda_visible_devices", "all")
        jax.config.update("jax_rocm_visible_devices", "all")
