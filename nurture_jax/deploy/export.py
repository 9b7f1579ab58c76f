"""A trained NurtureNet as a file within a limit, measured again as a file, with a card beside it.

    WORKDIR/exported/NAME.onnx, NAME.json and NAME.md

Every precision is written and measured; the file that is kept is the first of PRECISIONS, from the
most exact, that meets the limit.
"""
from __future__ import annotations

import dataclasses
import hashlib
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sized
from functools import partial
from pathlib import Path

import numpy as np

from deps_jax.common.files import sealed
from deps_jax.export.device_timer import describe_device
from nurture_jax import records
from nurture_jax.deploy import card as cards
from nurture_jax.deploy import graph
from nurture_jax.deploy.clip_latency import ClipLatency
from nurture_jax.deploy.compared import Measured, agreement, differences, failures, measure
from nurture_jax.deploy.file_model import FileModel
from nurture_jax.measures import LABELS, MEASURES, TABULAR
from nurture_jax.records.video import ClipSettings
from nurture_jax.runs import calibration
from nurture_jax.runs.evaluate_run import training_facts
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.runs.observed import calibrating
from nurture_jax.training import run_data

PRECISIONS = ("fp32", "int8")  # from the most exact
ROUNDS = 7  # runs of a clip, in turns, whose fastest is the latency


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """How a network is exported.

    Attributes:
      max_megabytes: Largest file, in 10^6 bytes.
      max_latency_ms: Longest time for one clip, without decoding it, on the device of `table`.
      table: Latency table of a device, see `clip_latency`; "" times the files on this machine.
      threads: Threads of onnxruntime.
      split: Split that accuracy, coverage and gate are measured on, not the one that calibrates.
      data_dir: Folder of the data set, where it has moved; "" takes that of the config.

    Raises:
      ValueError: If a limit is not positive.
    """

    max_megabytes: float = math.inf
    max_latency_ms: float = math.inf
    threads: int = 1
    split: str = "test"
    data_dir: str = ""
    table: str = ""

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_latency_ms"):
            if not getattr(self, name) > 0:
                raise ValueError(f"--{name} {getattr(self, name):g} is not positive; give a limit "
                                 f"such as 15, or leave it out")


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
      path: Path of the model.
      card: Its card, as plain values.
      table: Lines for the terminal: run and files side by side, and what is not kept.
    """

    path: Path
    card: dict
    table: tuple[str, ...]


def export(folder: str | Path, out: str | Path = "", settings: ExportSettings = ExportSettings()
           ) -> Exported:
    """Writes, times, chooses, measures and describes the file of an evaluated run.

    Args:
      folder: Folder of the run.
      out: Folder of the file; "" is `exported` in that of the run.

    Raises:
      ValueError: If the run was not evaluated with the weights it has, the split calibrates its
        intervals or has no visits, or no precision meets the limits; the nearest is named. Or if
        the latency table is of other networks.
    """
    folder, trained = Path(folder), TrainedNurture.open(folder)
    of = calibration.load(folder)
    of.check(trained.sha256, folder)
    elsewhere = predicted(trained, settings.table) if settings.table else {}
    data = dataclasses.replace(trained.experiment.data,
                               dir=settings.data_dir or trained.experiment.data.dir)
    found, parts = run_data.read_data(data, folder)
    check_split(settings.split, parts)  # before anything is written and timed
    with tempfile.TemporaryDirectory() as space:
        files = {precision: _write(trained, precision, Path(space)) for precision in PRECISIONS}
        sizes = {precision: file.stat().st_size for precision, file in files.items()}
        latencies = time_files(files, settings.threads)
        asked = dict.fromkeys(files, elsewhere["clip_ms"]) if elsewhere else latencies
        chosen = choose(sizes, asked, settings)
        sources = run_data.open_sources(data, found, parts)
        calibrates = calibrating(sources)
        look = lambda observe, sha256: measure(
            observe, sources, calibrating=calibrates, split=settings.split,
            batch_size=trained.experiment.training.eval_batch_size, of=of, sha256=sha256)
        run, measured = look(trained.observe, trained.sha256), {}
        for precision, file in files.items():
            model = FileModel(file, settings.threads)
            measured[precision] = look(model.observe, model.sha256)
        content = files[chosen].read_bytes()
    path = Path(out or folder / "exported") / f"nurturenet_{chosen}.onnx"
    sealed.replace(path, content)
    card = _described(trained, chosen, content) | {
        "training": {**training_facts(trained, parts), "intervals calibrated on": calibrates},
        "calibration": cards.calibrated(measured[chosen].calibration),
        "gate_calibrated": measured[chosen].calibration.calibrated_limits,
        "check": _check(run, measured[chosen], chosen, settings.split),
        "latency": {"clip_ms": latencies[chosen], "device": describe_device(settings.threads)},
        **({"latency_predicted": elsewhere} if elsewhere else {})}
    synthetic = records.is_synthetic(data.dir)
    card |= {"synthetic_data": synthetic, "not_for": cards.not_for(synthetic)}
    cards.write(path, card)
    return Exported(path, card, tuple(_table(run, measured, sizes, latencies, elsewhere)))


def check_split(split: str, parts: Mapping[str, Sized]) -> None:
    """Raises ValueError for a split that a file cannot be measured on.

    Args:
      split: Its name.
      parts: Visits by split.
    """
    if split == calibrating(parts):
        raise ValueError(f"--split {split} calibrates the intervals, so that their coverage on it "
                         f"would say nothing; give --split test")
    if not len(parts.get(split, ())):
        raise ValueError(f"there are no visits of {split}; give another --split, or train with "
                         f"data.{split}_fraction above 0")


def predicted(trained: TrainedNurture, table: str) -> dict:
    """What a clip takes on the device of a latency table, {"clip_ms", "device"}.

    Kernels of int8 become floats when a file is loaded, so it is the same in either precision.

    Raises:
      ValueError: If the network is none of those that the table is of.
    """
    latency = ClipLatency.load(table, trained.clip, trained.model.settings)
    name = trained.experiment.backbone.subnet
    return {"clip_ms": latency.of_backbone(trained.model.backbone, name),
            "device": latency.table.device}


def choose(sizes: Mapping[str, int], latencies: Mapping[str, float], settings: ExportSettings
           ) -> str:
    """The most exact precision that meets the limits.

    Args:
      sizes: Bytes of the file of each precision.
      latencies: Milliseconds for one clip.

    Raises:
      ValueError: If none does; the nearest is named.
    """
    limits = ((sizes, 1e6 * settings.max_megabytes), (latencies, settings.max_latency_ms))
    over = {precision: max(found[precision] / limit for found, limit in limits)
            for precision in sizes}
    for precision in PRECISIONS:
        if over.get(precision, math.inf) <= 1:
            return precision
    nearest = min(over, key=over.get)
    asked = " and ".join(f"{limit:g} {unit}" for limit, unit in (
        (settings.max_megabytes, "MB"), (settings.max_latency_ms, "ms")) if math.isfinite(limit))
    raise ValueError(f"no file of this run is within {asked}; the nearest is {nearest} with "
                     f"{sizes[nearest] / 1e6:.2f} MB and {latencies[nearest]:.0f} ms a clip: raise "
                     f"the limit, or train a smaller backbone")


def time_files(files: Mapping[str, Path], threads: int) -> dict[str, float]:
    """Milliseconds for one clip by name; decoding is not in it."""
    models = {name: FileModel(file, threads) for name, file in files.items()}
    return fastest_ms({name: partial(model.observe, blank_clip(model.clip))
                       for name, model in models.items()})


def fastest_ms(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Milliseconds of each call by name, the fastest of ROUNDS in turns."""
    found = dict.fromkeys(calls, math.inf)
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            found[name] = min(found[name], 1e3 * (time.perf_counter() - start))
    return found


def blank_clip(clip: ClipSettings) -> dict[str, np.ndarray]:
    """A batch of one black clip of which nothing is known."""
    known = np.zeros((1, len(TABULAR)), np.float32)
    return {"frames": np.zeros((1, clip.frames, clip.size, clip.size, 3), np.uint8),
            "tabular": known, "tabular_mask": known, "reference_cm": np.zeros(1, np.float32),
            "example_mask": np.ones(1)}


def _write(trained: TrainedNurture, precision: str, folder: Path) -> Path:
    """A file that runs, with the calibration of the network until it has its own."""
    model = graph.write(trained.model, trained.variables, trained.experiment.augment.in_use,
                        trained.clip.size, precision)
    path, content = folder / f"{precision}.onnx", model.SerializeToString()
    path.write_bytes(content)
    of = calibration.load(trained.folder)
    cards.write(path, _described(trained, precision, content) | {
        "calibration": cards.calibrated(of)})
    return path


def _described(trained: TrainedNurture, precision: str, content: bytes) -> dict:
    return cards.describe(trained, precision) | {
        "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _check(run: Measured, file: Measured, precision: str, split: str) -> dict:
    """What stands on the card of how the file does beside its run."""
    visits = [visit for visit, _ in file.seen.gates]
    own, theirs = _cells(run), _cells(file)
    rows = {name: [own.get(name, ""), theirs.get(name, "")] for name in own | theirs}
    return {"split": split, "visits": len(visits),
            "infants": len({visit.infant_id for visit in visits}),
            "rows": rows, "differences": sealed.finite(differences(run, file)),
            "gate_agreement": agreement(run, file), "errors": file.errors,
            "coverage": file.coverage, "failures": failures(run, file, precision)}


def _cells(found: Measured) -> dict[str, str]:
    """By the name of the row; the gates of a run and its file may leave other measures over."""
    return {**{f"mean absolute error, {MEASURES[name].label}": MEASURES[name].error(value)
               for name, value in found.errors.items()},
            **{f"coverage, {MEASURES[name].label}": f"{value:.1%}"
               for name, value in found.coverage.items()},
            "let through by the gate": f"{sum(found.accepted.values())} of {len(found.accepted)}"}


def _table(run: Measured, measured: Mapping[str, Measured], sizes: Mapping[str, int],
           latencies: Mapping[str, float], elsewhere: Mapping) -> list[str]:
    """Lines of a table, a column for the run and for each file, then what is not kept."""
    rows = [["", "run", *measured], ["MB", "", *(f"{sizes[name] / 1e6:.2f}" for name in measured)],
            ["ms a clip", "", *(f"{latencies[name]:.0f}" for name in measured)]]
    if elsewhere:
        rows.append([f"ms a clip, {elsewhere['device']['processor']}, predicted", "",
                     *[f"{elsewhere['clip_ms']:.0f}"] * len(measured)])
    columns = [_cells(run), *map(_cells, measured.values())]
    rows += [[name, *(cells.get(name, "") for cells in columns)]
             for name in dict.fromkeys(name for cells in columns for name in cells)]
    rows.append(["gate decides as the run", "", *(
        f"{agreement(run, found):.1%}" for found in measured.values())])
    apart = {name: differences(run, found) for name, found in measured.items()}
    for label in LABELS:
        if all(label in each for each in apart.values()):
            rows.append([f"largest difference, {MEASURES[label].label}", "", *(
                f"{each[label]:.2g} {MEASURES[label].unit}" for each in apart.values())])
    first = max(len(row[0]) for row in rows)
    lines = [f"{row[0]:<{first}}" + "".join(f"{cell:>14}" for cell in row[1:]) for row in rows]
    return lines + [f"NOT OK, {name}: {sentence}" for name, found in measured.items()
                    for sentence in failures(run, found, name)]


def summary(exported: Exported) -> str:
    """What was exported, in a few lines for the terminal."""
    card = exported.card
    return "\n".join([*exported.table, "",
                      f"{exported.path}: {card['precision']}, {card['size_bytes'] / 1e6:.2f} MB, "
                      f"card {exported.path.with_suffix('.json').name} and .md beside it"])
