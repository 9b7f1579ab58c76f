"""What a program holds, counted without compiling or running it."""
from __future__ import annotations

import functools
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
from jax.extend.core import ClosedJaxpr, JaxprEqn, jaxprs_in_params

from deps_jax.common.files import sealed

ACCELERATORS = ("cuda", "tpu")
PLATFORMS = ("cpu", *ACCELERATORS)
# Operations of StableHLO by what they are counted as. On a GPU every conditional is decided by the
# host, which waits for the device, and every collective is a start-up of its own.
KINDS = {
    "conditionals": ("case", "if"),
    "loops": ("while",),
    "convolutions": ("convolution",),
    "products": ("dot_general",),
    "custom_calls": ("custom_call",),
    "all_reduces": ("all_reduce",),
    "other_collectives": ("all_gather", "all_to_all", "collective_broadcast",
                          "collective_permute", "reduce_scatter"),
}
Counts = dict[str, int]  # by the names of KINDS
_KIND_OF = {operation: kind for kind, operations in KINDS.items() for operation in operations}
_OPERATION = re.compile(rf"\bstablehlo\.({'|'.join(_KIND_OF)})\b")
_NAME = r'@("[^"]+"|[\w.$-]+)\('  # of a function, in quotes where it has none in Python
_FUNCTION, _CALL = re.compile(rf"func\.func .*?{_NAME}"), re.compile(rf"\bcall {_NAME}")


def two_virtual_devices() -> None:
    """Two devices out of this CPU, for programs of several; called before JAX computes anything."""
    jax.config.update("jax_platforms", "cpu")
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", 2)


def equations(jaxpr: ClosedJaxpr) -> Iterator[JaxprEqn]:
    """Yields all equations, those of the functions, loops and branches inside included."""
    todo = [jaxpr.jaxpr]
    while todo:
        for equation in todo.pop().eqns:
            yield equation
            todo += jaxprs_in_params(equation.params)


def all_reduces(compiled: jax.stages.Compiled) -> int:
    """All-reduces of a compiled program; XLA has joined those that need not wait for each other.

    What loops and branches hold is counted once.
    """
    return len(re.findall(r" all-reduce(?:-start)?\(", compiled.as_text()))


def counts(traced: jax.stages.Traced, platform: str) -> Counts:
    """How many operations of each of KINDS a program holds where it runs on a platform.

    What loops and branches hold is counted once; a function that is called several times counts
    as often, since XLA writes it out at every call.

    Args:
      traced: The program, as `jax.jit(function).trace(*arguments)` gives it.
      platform: One of PLATFORMS; no such device is needed.
    """
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    own: dict[str, Counter] = {}
    called: dict[str, Counter] = {}
    name = ""
    for line in text.splitlines():
        if found := _FUNCTION.search(line):
            name = found[1]
            own[name], called[name] = Counter(), Counter()
        elif name:
            own[name].update(_KIND_OF[found] for found in _OPERATION.findall(line))
            called[name].update(_CALL.findall(line))

    @functools.cache
    def total(name: str) -> Counter:
        result = Counter(own[name])
        for other, times in called[name].items():
            result.update({kind: times * count for kind, count in total(other).items()})
        return result

    return {kind: total("main")[kind] for kind in KINDS}


def counts_by_platform(name: str, traced: jax.stages.Traced) -> dict[str, Counts]:
    """`counts` of a program on the accelerators, as "NAME, PLATFORM"."""
    return {f"{name}, {platform}": counts(traced, platform) for platform in ACCELERATORS}


def conditionals(traced: jax.stages.Traced) -> dict[str, int]:
    """How many choices a program leaves to run time: in the "jaxpr", and on each of PLATFORMS."""
    found = {"jaxpr": sum(equation.primitive.name == "cond" for equation in equations(
        traced.jaxpr))}
    return found | {platform: counts(traced, platform)["conditionals"] for platform in PLATFORMS}


def changes(found: Mapping[str, Counts], recorded: Mapping[str, Counts]) -> list[str]:
    """What differs between the counts of some programs and those recorded of them.

    Args:
      found, recorded: Counts by the name of a program; what is only recorded is passed over.

    Returns:
      A line for each count that differs, such as "mobilenet_v3, cuda: conditionals 20 -> 22".
    """
    return [f"{name}: {kind} {recorded.get(name, {}).get(kind, 'not recorded')} -> {count}"
            for name, kinds in found.items() for kind, count in kinds.items()
            if recorded.get(name, {}).get(kind) != count]


def read_record(path: Path) -> tuple[str, dict[str, Counts]]:
    """What `write_record` wrote: the version of JAX, and counts by the name of a program.

    Raises:
      ValueError: If there is no such file.
    """
    if not path.exists():
        raise ValueError(f"there is no record {path}; give the path of one, or run from the "
                         f"project's folder")
    content = json.loads(path.read_text())
    return content["jax"], content["programs"]


def write_record(path: Path, recorded: Mapping[str, Counts]) -> None:
    """Writes counts by the name of a program, a line each, and the version of JAX they are of."""
    rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(kinds)}"
                      for name, kinds in recorded.items())
    version = json.dumps(jax.__version__)
    sealed.replace(path, f'{{\n  "jax": {version},\n  "programs": {{\n{rows}\n  }}\n}}\n')
