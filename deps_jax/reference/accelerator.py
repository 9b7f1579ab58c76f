"""Speed on one accelerator: what decides how the engine should run there, in one report.

The report is handed over after every program, so that a machine that is taken away leaves what it
had; a program for which no time is left is named instead. Programs compile one after the other:
XLA:GPU times convolutions against each other while it compiles, and with twelve programs at once it
took some that were ten times slower (on an H100, 2026-11-26).
"""
from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from deps_jax.reference import bench, depthwise_forms
from deps_jax.reference.bench_report import machine
from deps_jax.space.families import MOBILENET_V3, MOBILENET_V3_CIFAR
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.training.train import train_step

PARTS = ("steps", "torch", "settings", "gradients", "depthwise")
# Settings of XLA:GPU that a training step is compared under: which convolution is taken without
# trying all, and what is recorded as one CUDA graph (by default neither loops nor choices).
SETTINGS = {
    "no autotuning": {"xla_gpu_autotune_level": "0"},
    "no command buffers": {"xla_gpu_enable_command_buffer": ""},
    "command buffers of loops and choices": {
        "xla_gpu_enable_command_buffer": "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,"
                                         "DYNAMIC_SLICE_FUSION,WHILE,CONDITIONAL"},
}

Networks = Sequence[tuple[SearchSpace, str]]  # spaces and the type they compute in
Program = tuple[str, Callable[[], Any]]  # a name, and a call that compiles when it first runs


def prepare() -> None:
    """Leaves PyTorch half of the memory, which JAX would take; called before JAX computes anything.

    Raises:
      ValueError: If JAX finds no accelerator.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")
    if jax.default_backend() == "cpu":
        raise ValueError("--device needs a GPU or TPU, and JAX finds none; leave it out, or "
                         "install JAX for yours (pip install 'jax[cuda13]' or 'jax[tpu]')")


def networks(kernels: tuple[int, ...], width_mult: float) -> Networks:
    """MobileNetV3 at 32 px in float32, at 224 px in bfloat16, then the other way round."""
    small, large = (space.with_choices(kernels=kernels, width_mult=width_mult)
                    for space in (MOBILENET_V3_CIFAR, MOBILENET_V3))
    return (small, "float32"), (large, "bfloat16"), (small, "bfloat16"), (large, "float32")


class Clock:
    """The time that a benchmark may take, and what a program of each kind has taken at most."""

    def __init__(self, minutes: float) -> None:
        self._end, self._longest = time.monotonic() + 60 * minutes, {}

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be begun."""
        return self._end - time.monotonic() < 1.0

    def run(self, kind: str, program: Callable[[], Any]) -> Any:
        """What the program returns, or a sentence where it would probably not be done in time."""
        started = time.monotonic()
        left, needed = self._end - started, self._longest.get(kind, 0.0)
        if left < max(needed, 1.0):
            return f"left out: {max(left, 0):.0f} s were left, the last such took {needed:.0f} s"
        try:
            return program()
        except RuntimeError as error:  # JAX's or PyTorch's: too large for this device, say
            return f"failed: {str(error).splitlines()[0]}"
        finally:
            self._longest[kind] = max(needed, time.monotonic() - started)


def accelerator_benchmark(parts: Sequence[str], networks: Networks, *, batch_size: int,
                          minutes: float, beside_torch: bool,
                          keep: Callable[[dict], None]) -> dict:
    """Runs the chosen parts on the first device.

    Args:
      parts: Names of PARTS. "steps": whole training steps. "torch": the same in PyTorch, and
        forward and backward passes of single networks, one also compiled by it. "settings": the
        sandwich step of the first network under other settings of XLA:GPU. "gradients": forward and
        backward passes of single subnets. "depthwise": its forms apart.
      networks: Spaces, and the type that each is computed in, the most wanted first.
      batch_size: Images of a batch.
      minutes: Time after which nothing new is begun.
      beside_torch: Whether the part "torch" can run.
      keep: Called with the report after every program.

    Returns:
      The report: "machine", "batch_size", and a section for each part, by network and name. A
      program has "ms", a call's mean in each of five rounds, and "first_run_s", the seconds of
      compiling and a first run; or it is a sentence that says why it has not.

    Raises:
      ValueError: If a part is unknown.
    """
    if unknown := [part for part in parts if part not in PARTS]:
        raise ValueError(f"part {unknown[0]!r} is unknown; choose from {', '.join(PARTS)}")
    report: dict = {"machine": machine(beside_torch), "batch_size": batch_size}
    clock = Clock(minutes)
    for part, space, dtype in _in_order(networks):
        if part not in parts or (part == "torch" and not beside_torch):
            continue
        section = report.setdefault(part, {})[title(space, dtype)] = {}
        if clock.is_over:  # to make weights and batches takes seconds, too
            section["all"] = "left out: no time was left"
            keep(report)
            continue
        for name, program in _PROGRAMS[part](space, dtype, batch_size):
            section[name] = clock.run(f"{part} {name}", partial(timed, program))
            keep(report)
    if "depthwise" in parts:
        report["depthwise"] = []
        for case in () if clock.is_over else depthwise_forms.cases(batch_size):
            report["depthwise"].append({**case.described(), "time": clock.run(
                "depthwise", partial(timed, case.run, 0.01))})
            keep(report)
    return report


def _in_order(networks: Networks) -> list[tuple[str, SearchSpace, str]]:
    """(part, space, dtype) in the order of what is most wanted."""
    return [*((part, *network) for network in networks for part in ("steps", "torch")),
            *(("settings", *network) for network in networks[:1]),
            *(("gradients", *network) for network in networks)]


def title(space: SearchSpace, dtype: str) -> str:
    """A network in the report, such as "mobilenet_v3, 224 px, bfloat16"."""
    return f"{space.name}, {space.resolution} px, {dtype}"


def step_programs(space: SearchSpace, dtype: str, batch_size: int) -> Iterator[Program]:
    """The full-model step and the sandwich step, from augmentation to optimizer."""
    yield from bench.step_candidates(space, batch_size, False, dtype).items()


def gradient_programs(space: SearchSpace, dtype: str, batch_size: int) -> Iterator[Program]:
    """Forward and backward passes of subnets; all but the sandwich share one compilation."""
    yield from bench.gradient_candidates(space, batch_size, False, dtype).items()


def setting_programs(space: SearchSpace, dtype: str, batch_size: int) -> Iterator[Program]:
    """The sandwich step under each of SETTINGS."""
    recipe = bench.recipe_of(space, dtype)
    batch, key = bench.random_batch(space, batch_size), jax.random.key(0)
    for name, options in SETTINGS.items():
        step = jax.jit(partial(train_step, recipe, recipe.phases[1]), donate_argnums=0,
                       compiler_options=options)
        yield name, bench.repeated(step, recipe, batch, key)


def torch_programs(space: SearchSpace, dtype: str, batch_size: int) -> Iterator[Program]:
    """The same steps and networks in PyTorch, channels last; it has TF32 where JAX has."""
    import torch

    from deps_jax.reference.torch_net import gradient_function
    from deps_jax.reference.torch_step import training_step
    torch.set_float32_matmul_precision("high")
    device, half = ("cuda" if torch.cuda.is_available() else "cpu"), dtype == "bfloat16"

    def waiting(run: Callable[[], Any]) -> Callable[[], Any]:
        return WaitingCall(run, torch.cuda.synchronize if device == "cuda" else lambda: None)

    recipe, batch = bench.recipe_of(space, dtype), bench.random_batch(space, batch_size)
    networks = [layers(space, subnet)
                for subnet in bench.drawn_subnets(recipe, jax.random.key(0), bench.STEP)]
    for name, some in zip(bench.STEPS, (networks[:1], networks), strict=True):
        yield name, waiting(training_step(
            some, batch["image"], batch["label"], "channels_last", augment=recipe.augment,
            optimizer=recipe.optimizer, label_smoothing=recipe.label_smoothing, device=device,
            half=half))
    pixels = np.moveaxis(batch["image"], -1, 1).astype(np.float32) / 128 - 1
    subnets = bench.chosen_subnets(space)
    for name in ("largest", "middle", "smallest", "largest, compiled"):
        subnet, _, compiled = name.partition(", ")
        yield name, waiting(gradient_function(
            layers(space, subnets[subnet]), pixels, batch["label"], "channels_last",
            device=device, half=half, compiled=bool(compiled)))


_PROGRAMS = {"steps": step_programs, "torch": torch_programs, "settings": setting_programs,
             "gradients": gradient_programs}


class WaitingCall(NamedTuple):
    """A call that JAX cannot wait for, and what waits for it."""

    run: Callable[[], Any]
    wait: Callable[[], None]

    def __call__(self) -> None:
        self.run()


def timed(run: Callable[[], Any], least: float = 0.1, rounds: int = 5) -> dict[str, Any]:
    """Seconds of the first run, and a call's mean milliseconds in each round.

    Calls are queued as in training, and waited for at the end of a round.

    Args:
      least: Seconds of a round, at least.
    """
    def seconds(count: int) -> float:
        started, last = time.perf_counter(), None
        for _ in range(count):
            last = run()
        run.wait() if isinstance(run, WaitingCall) else jax.block_until_ready(last)
        return time.perf_counter() - started

    first = seconds(1)
    seconds(2)
    count = max(1, round(least / max(seconds(2) / 2, 1e-6)))
    return {"first_run_s": first, "ms": [1000 * seconds(count) / count for _ in range(rounds)]}


def text(report: dict) -> str:
    """The report as text for the terminal."""
    lines = [f"{name:16} {value}" for name, value in report["machine"].items()]
    for part in PARTS[:-1]:
        for network, programs in report.get(part, {}).items():
            lines += ["", f"{part}: {network}, batch {report['batch_size']}"]
            lines += [f"  {name:38} {_told(found, report['batch_size'])}"
                      for name, found in programs.items()]
    if report.get("depthwise"):
        lines += ["", "depthwise convolution, ms", *_depthwise_rows(report["depthwise"])]
    return "\n".join(lines)


def _told(found: dict | str, batch_size: int) -> str:
    if isinstance(found, str):
        return found
    median = statistics.median(found["ms"])
    return (f"{median:9.2f} ms {1000 * batch_size / median:9.0f} images/s   first run "
            f"{found['first_run_s']:6.1f} s")


def _depthwise_rows(cases: Iterable[dict]) -> list[str]:
    """A line for each direction, type and shape, with the forms side by side."""
    rows: dict[tuple, list[str]] = {}
    for case in cases:
        found = case["time"]
        time_ms = "-" if isinstance(found, str) else f"{statistics.median(found['ms']):.3f}"
        rows.setdefault((case["direction"], case["dtype"], case["kernel"], case["pixels"],
                         case["channels"]), []).append(f"{case['form']} {time_ms:>7}")
    return [f"  {direction:16} {dtype:9} k {kernel}  {pixels:3} px {channels:4} channels  "
            + "  ".join(forms) for (direction, dtype, kernel, pixels, channels), forms
            in rows.items()]
