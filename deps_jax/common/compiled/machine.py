"""What compiled code is for: a folder that keeps it may be shared by different machines."""
from __future__ import annotations

import math
import os
import platform
from functools import cache
from pathlib import Path

import jax


@cache
def processor() -> str:
    """The processor, and what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    able = [line for line in lines if line.startswith(("flags", "Features", "model name"))]
    return "\n".join([platform.machine(), platform.processor(), *sorted(set(able))])


def devices() -> str:
    """Number and kind of all devices of a run; of a CPU, its model and the cores it may use."""
    kind = jax.devices()[0].device_kind
    if jax.default_backend() == "cpu":
        model = [line.split(":", 1)[1].strip() for line in processor().splitlines()
                 if line.startswith("model name")]
        usable = f"{cores()} core{'s' * (cores() > 1)}"
        kind = f"{kind} ({', '.join([*dict.fromkeys(model), usable])})"
    return f"{jax.device_count()} x {kind}"


def cores() -> int:
    """Number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def busy_s() -> float:
    """Seconds that all cores together have worked for anybody since the system started.

    What a hypervisor took away counts too. nan where the system does not tell (not Linux).
    """
    try:
        user, nice, system, _, _, irq, softirq, stolen, *_ = map(
            int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    except (OSError, ValueError):
        return math.nan
    return (user + nice + system + irq + softirq + stolen) / os.sysconf("SC_CLK_TCK")
