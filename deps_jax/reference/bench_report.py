"""What the benchmark tells: ratios out of seconds, the machine, and all of it as text."""
from __future__ import annotations

import os
import platform
import statistics

import jax
import jaxlib

from deps_jax.common.command.vectors import vector_bits
from deps_jax.common.nn.depthwise_cpp import LIBRARY
from deps_jax.export.device_timer import processor
from deps_jax.space.search_space import SearchSpace

LAYOUTS = ("channels_last", "contiguous")  # of PyTorch's tensors
SANDWICH = ("largest", "smallest", "sampled_1", "sampled_2")


def ratios(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """The figures that are compared, "of minima" and "of medians" of the rounds.

    Args:
      seconds: Seconds of each round, by candidate. Our first one is what our others are compared
        with; "torch LAYOUT NAME" is what NAME is compared with.

    Returns:
      Ratios by kind and by what is compared, such as "smallest / largest".
    """
    return {"of minima": _ratios({name: min(values) for name, values in seconds.items()}),
            "of medians": _ratios({name: statistics.median(values)
                                   for name, values in seconds.items()})}


def _ratios(seconds: dict[str, float]) -> dict[str, float]:
    ours = [name for name in seconds if not name.startswith("torch ")]
    found = {f"{name} / {ours[0]}": seconds[name] / seconds[ours[0]] for name in ours[1:]}
    for layout in LAYOUTS:
        prefix = f"torch {layout} "
        theirs = {name.removeprefix(prefix): value for name, value in seconds.items()
                  if name.startswith(prefix)}
        if theirs and "sandwich" in ours:  # PyTorch's four networks run one after the other
            theirs["sandwich"] = sum(theirs[name] for name in SANDWICH)
        if theirs:
            found |= {f"{name} / PyTorch {layout}": seconds[name] / theirs[name] for name in ours}
    return found


def machine(beside_torch: bool) -> dict[str, str | int | float]:
    """What the figures are measured on, by name; "load" is the average of the last minute."""
    found = {"processor": processor(), "cores": os.cpu_count() or 0,
             "system": f"{platform.system()} {platform.machine()}",
             "backend": jax.default_backend(), "devices": str(jax.devices()[0].device_kind),
             "device_count": jax.device_count(), "python": platform.python_version(),
             "jax": jax.__version__, "jaxlib": jaxlib.__version__, "vector_bits": vector_bits(),
             "xla_flags": os.environ.get("XLA_FLAGS", "")}
    if jax.default_backend() == "cpu":
        found["depthwise_convolutions"] = "C++" if LIBRARY.load() else "XLA"
    if hasattr(os, "sched_getaffinity"):  # Linux: what this process may use of the cores
        found["usable_cores"] = len(os.sched_getaffinity(0))
    if hasattr(os, "getloadavg"):
        found["load"] = round(os.getloadavg()[0], 2)
    if beside_torch:
        import torch
        found |= {"torch": torch.__version__, "torch_threads": torch.get_num_threads()}
    return found


def describe(space: SearchSpace) -> dict[str, str | float | list[int] | int]:
    """The space of a part of the benchmark, in the terms in which it was chosen."""
    return {"name": space.name, "width_mult": space.width_mult, "resolution": space.resolution,
            "kernels": sorted({kernel for stage in space.stages for kernel in stage.kernels})}


def text(report: dict) -> str:
    """The report of `bench.benchmark` as text for the terminal."""
    lines = [f"{name:16} {value}" for name, value in report["machine"].items()]
    for part in ("full", "quarter", "steps"):
        if part in report:
            lines += _timed(part, report)
    for name, counts in report.get("conditionals", {}).items():
        if name != "space":
            lines += ["", f"conditionals of the {name}, {_named(report['conditionals']['space'])}",
                      "  " + ", ".join(f"{place} {count}" for place, count in counts.items())]
    if "compile" in report:
        found = report["compile"]
        lines += ["", f"both steps, {_named(found['space'])}"]
        lines += [f"  ready, {how:32} {value:7.1f} s" for how, value in found["seconds"].items()]
        lines += [f"  compilations over 20 subnets {found['compilations over 20 subnets']:14}"]
    if "data" in report:
        lines += ["", "images a second"]
        lines += [f"  {path:38} {rate:8.0f}"
                  for path, rate in report["data"]["images a second"].items()]
    return "\n".join(lines)


def _timed(part: str, report: dict) -> list[str]:
    found = report[part]
    lines = ["", f"{part}: {_named(found['space'])}, batch {report['batch_size']}, "
                 f"{report['rounds']} rounds          minimum     median"]
    lines += [f"  {name:42} {min(values):8.3f} s {statistics.median(values):8.3f} s"
              for name, values in found["seconds"].items()]
    minima, medians = (found["ratios"][kind] for kind in ("of minima", "of medians"))
    return lines + [f"  {name:42} {minima[name]:8.2f}   {medians[name]:8.2f}" for name in minima]


def _named(space: dict) -> str:
    kernels = ", ".join(map(str, space["kernels"]))
    return f"{space['name']}, width {space['width_mult']:g}, K {{{kernels}}}"
