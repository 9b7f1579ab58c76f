"""Times ONNX models on the machine it runs on. Needs onnxruntime and NumPy, nothing of deps_jax.

A latency kit is this file beside a folder of models, packed by `launch.latency_table --kit`. On the
device:

    python device_timer.py --out timings.json
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

# int8 weights become floats when the model is loaded, not again for every image (twice the time).
# Models with int8 activations must do without.
EXPAND_INT8 = {"session.disable_quant_qdq": "1"}


def session(model: bytes, threads: int = 1,
            entries: Mapping[str, str] = EXPAND_INT8, what: str = "the model"
            ) -> onnxruntime.InferenceSession:
    """An onnxruntime session on the CPU.

    Args:
      model: A serialised ONNX model.
      threads: Threads that share the work of one node.
      entries: Configuration of the session.
      what: What the model is, for the message where it cannot be read.

    Raises:
      ValueError: If onnxruntime is not installed, or cannot read the model.
    """
    if onnxruntime is None:
        raise ValueError("onnxruntime is not installed; install it, or the extra that holds it: "
                         "pip install 'deps-jax[export]'")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime") or "alloc" in str(error):
            raise  # too little memory is no fault of the model
        raise ValueError(f"onnxruntime {onnxruntime.__version__} cannot read {what} "
                         f"({_reason(error)}): it is damaged, or made for a later version; make it "
                         f"again, or update onnxruntime") from error


def _reason(error: Exception) -> str:
    """What onnxruntime says, without its codes."""
    return (str(error).splitlines() or [""])[0].rsplit(" : ", 1)[-1].strip(" .")[:200]


def measure(models: Mapping[str, bytes], *, threads: int = 1, rounds: int = 20,
            slice_ms: float = 5.0, entries: Mapping[str, str] = EXPAND_INT8,
            progress: Callable[[range], Iterable[int]] = iter) -> dict[str, dict[str, float]]:
    """Latencies of models, in turns, so that a busy minute hits all of them alike.

    In each round every model runs for about `slice_ms` (three calls at least) after one call
    that is not counted.

    Args:
      models: Serialised models by name; a model of any batch size gets one image.
      threads, entries: See `session`.
      rounds: Number of rounds.
      slice_ms: Milliseconds, about, that a model runs in each round.
      progress: Wraps the rounds, such as tqdm.

    Returns:
      By name, {"p10_ms", "median_ms"}: the 10th percentile and the median over all calls.

    Raises:
      ValueError: If there is no round, or onnxruntime cannot read a model.
    """
    if rounds < 1:
        raise ValueError(f"rounds {rounds} time nothing; use 1 or more")
    calls, durations = {}, {name: [] for name in models}
    for name, model in models.items():
        opened = session(model, threads, entries, f"the model {name!r}" if name else "the model")
        inputs = {node.name: _noise(node.shape, node.type) for node in opened.get_inputs()}
        calls[name] = lambda opened=opened, inputs=inputs: opened.run(None, inputs)
    for _ in progress(range(rounds)):
        for name, call in calls.items():
            call()
            durations[name] += _durations(call, slice_ms)
    return {name: {"p10_ms": float(np.percentile(values, 10)),
                   "median_ms": float(np.median(values))} for name, values in durations.items()}


def _noise(shape: Sequence[int | str | None], kind: str = "tensor(float)") -> np.ndarray:
    """Random values of a shape, pixels for an input of bytes."""
    sizes = [size if isinstance(size, int) else 1 for size in shape]
    random = np.random.default_rng(0)
    if kind == "tensor(uint8)":
        return random.integers(0, 256, sizes, np.uint8)
    return random.standard_normal(sizes).astype(np.float32)


def _durations(call: Callable[[], object], slice_ms: float) -> list[float]:
    """Milliseconds of every call, for about `slice_ms` in all."""
    durations = []
    while len(durations) < 3 or sum(durations) < slice_ms:
        start = time.perf_counter()
        call()
        durations.append(1e3 * (time.perf_counter() - start))
    return durations


def describe_device(threads: int) -> dict[str, str | int]:
    """What figures are measured on: the processor, its cores, the system and the versions."""
    return {"processor": processor(), "cores": os.cpu_count() or 0, "threads": threads,
            "system": f"{platform.system()} {platform.machine()}",
            "onnxruntime": onnxruntime.__version__ if onnxruntime else "",
            "python": platform.python_version()}


def processor() -> str:
    """Name of the processor, as Linux or else Python tells it."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description="times the models of a latency kit")
    parser.add_argument("--models", type=Path, default=Path(__file__).parent / "models")
    parser.add_argument("--out", type=Path, default=Path("timings.json"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    index = options.models / "names.json"
    try:
        if options.rounds < 1 or options.threads < 0:
            raise ValueError(f"--rounds {options.rounds} and --threads {options.threads} must be 1 "
                             f"or more (threads of 0 are all cores)")
        if not index.is_file():
            raise ValueError(f"{index} does not exist; run this beside the folder 'models' of the "
                             f"kit")
        names, question = _fields(index), options.models.parent / "question.json"
        # What was asked stands beside the answer, so that int8 is never taken for fp32.
        asked = {"question": _fields(question)} if question.is_file() else {}
        models = {name: (options.models / f"{stem}.onnx").read_bytes()
                  for stem, name in names.items()}
        latencies = measure(models, threads=options.threads, rounds=options.rounds,
                            progress=_print_rounds)
        record = {**asked, "device": describe_device(options.threads), "rounds": options.rounds,
                  "latencies": latencies}
        options.out.write_text(json.dumps(record, indent=2) + "\n")
    except (OSError, ValueError) as error:  # of a full disk, too
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"written: {options.out}")
    return 0


def _fields(path: Path) -> dict:
    """The named fields of a file of the kit; ValueError if it has none."""
    try:
        found = json.loads(path.read_text())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged, it is no longer JSON with named fields; unzip the "
                         f"kit again")
    return found


def _print_rounds(rounds: range) -> Iterator[int]:
    for i in rounds:
        print(f"\rround {i + 1} of {len(rounds)}", end="", flush=True)
        yield i
    print()


if __name__ == "__main__":
    sys.exit(main())
