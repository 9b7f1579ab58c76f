"""What timings and latency tables hold: measured here or read, and compared with what is due."""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from deps_jax.common.command.settings import build_settings
from deps_jax.export.device_timer import describe_device, measure
from deps_jax.space.plain import from_plain, to_plain

STATISTICS = ("p10_ms", "median_ms")
LEAST_MS, MOST = 1e-9, 1e9  # of a latency that is no damage
Progress = Callable[[range], Iterable[int]]  # see `device_timer.measure`


@dataclasses.dataclass(frozen=True)
class _HeldOut:
    """A network that the fit has not seen, as `LatencyTable.held_out` lists it."""

    subnet: str
    measured_ms: float
    predicted_ms: float

    def __post_init__(self) -> None:
        if not (LEAST_MS <= self.measured_ms <= MOST and _is_number(self.predicted_ms)):
            raise ValueError(f"{self.subnet!r} was measured to take {self.measured_ms} ms and "
                             f"predicted to take {self.predicted_ms}; time the models again")


@dataclasses.dataclass(frozen=True)
class _Question:
    """What the table uses of the plan that it was made by."""

    resolution: int
    precision: str
    seed: int = 0


def bar(rounds: range) -> Iterable[int]:
    """Rounds of timing, with a progress bar."""
    return tqdm(rounds, desc="timing", unit="round", leave=False)


def timings_here(models: Mapping[str, bytes], *, threads: int, rounds: int = 20,
                 progress: Progress = iter) -> dict:
    """Times models on this machine.

    Args:
      models, threads, rounds, progress: As `device_timer.measure` takes them.

    Returns:
      What `read_timings` reads of another machine.
    """
    return {"device": describe_device(threads),
            "latencies": measure(models, threads=threads, rounds=rounds, progress=progress)}


def read_timings(path: Path) -> dict:
    """Reads what `device_timer` has written.

    Raises:
      ValueError: If it is anything else.
    """
    record = read_json(path, "a result of device_timer.py")
    if not {"device", "latencies"} <= record.keys():
        raise ValueError(f"{path} holds no timings (device, latencies); run device_timer.py of the "
                         f"kit again")
    _check_device(record["device"], path)
    _check_latencies(record["latencies"], path)
    if "question" in record:
        _check_told(record["question"], path)
    return record


def check_question(timings: Mapping, asked: Mapping) -> None:
    """Raises ValueError, naming the first difference, if timings are of another question.

    Timings of kits of earlier versions do not say what was asked, and are believed.

    Args:
      timings: As `read_timings` returns them.
      asked: What is to be known, as `TimingPlan.description` tells it.
    """
    told = timings.get("question")
    if told is None:
        return
    for field in ("precision", "resolution", "seed"):
        if field in told and told[field] != asked[field]:
            raise ValueError(f"the timings are of {field} {told[field]}, not {asked[field]}; ask "
                             f"for a table of theirs, or time a kit of this {field}")
    if difference := space_difference(told["space"], asked["space"]):
        raise ValueError(f"the timings are of another space: {difference}; time a kit of this one")


def space_difference(own: Mapping, asked: Mapping) -> str:
    """The first difference of two spaces as plain values but for their resolution; "" is none."""
    own = to_plain(from_plain(own))
    return next((f"{field} is {own.get(field)!r} there and {asked.get(field)!r} here"
                 for field in sorted((own.keys() | asked.keys()) - {"resolution"})
                 if own.get(field) != asked.get(field)), "")


def check_table(table: Mapping[str, Any], path: Path) -> None:
    """Raises ValueError unless the parts of a table are what `LatencyTable` says of them.

    Args:
      table: Its fields by name, of the types that they should have.
      path: Its file, for messages.
    """
    _check_latencies(table["latencies"], path)
    _check_plan(table["question"])
    _check_device(table["device"], path)
    if table["statistic"] not in STATISTICS:
        raise ValueError(f"its statistic is {table['statistic']!r}, not one of "
                         f"{', '.join(STATISTICS)}")
    if not table["held_out"]:
        raise ValueError("it has no network that was held out")
    for record in table["held_out"]:
        build_settings(_HeldOut, record, "held_out")
    if not all(_is_number(factor) for factor in (table["scale"], *table["factors"].values())):
        raise ValueError(f"its scale or a factor is not a number of 0 to {MOST:g}")


def _check_plan(question: Mapping[str, Any]) -> None:
    """Raises ValueError unless it is as `TimingPlan.description`, as far as that is used."""
    from_plain(question.get("space"))
    build_settings(_Question, {field.name: question[field.name]
                               for field in dataclasses.fields(_Question)
                               if field.name in question}, "question")


def _check_told(question: object, path: Path) -> None:
    """Raises ValueError unless it is the question of a kit, as device_timer copies it."""
    try:
        if not isinstance(question, dict):
            raise ValueError(f"its question is {question!r:.80}")
        _check_plan(question)
    except ValueError as error:
        raise ValueError(f"{path} is damaged or of another version ({error}); run device_timer.py "
                         f"of the kit again") from error


def _check_latencies(latencies: object, path: Path) -> None:
    """Raises ValueError unless they are times of models by name, as `LatencyTable` has them."""
    wrong = "latencies are not of models by name" if not isinstance(latencies, dict) else next(
        (f"{name!r} has no {statistic} in milliseconds" for name, times in latencies.items()
         for statistic in STATISTICS if not _is_time(times, statistic)), "")
    if wrong:
        raise ValueError(f"{path} is damaged ({wrong}); time the models again")


def _is_time(times: object, statistic: str) -> bool:
    value = times.get(statistic) if isinstance(times, dict) else None
    return _is_number(value) and value >= LEAST_MS


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= MOST


def _check_device(device: object, path: Path) -> None:
    """Raises ValueError unless it is what `device_timer.describe_device` tells."""
    if not isinstance(device, dict) or not {"processor", "threads", "onnxruntime"} <= device.keys():
        raise ValueError(f"{path} does not say on which device it was timed; run device_timer.py "
                         f"of the kit again")


def read_json(path: Path, what: str) -> dict:
    """The named fields of a file of JSON; ValueError if it has none. `what` it should be."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give {what}")
    try:
        record = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError):
        record = None
    if not isinstance(record, dict):
        raise ValueError(f"{path} is not JSON with named fields; give {what}")
    return record
