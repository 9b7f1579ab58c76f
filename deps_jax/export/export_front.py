"""Every subnet of a front as a file, and whether the files keep what the front promises."""
from __future__ import annotations

import dataclasses
from pathlib import Path

from tqdm import tqdm

from deps_jax.common.files import sealed
from deps_jax.evaluation.certainty import percent
from deps_jax.export.export import Exported, ExportSettings, export
from deps_jax.runs.trained import TrainedRun
from deps_jax.space.candidate import parse_candidate

PROMISE = 0.005  # most that the accuracy of a file may differ from the front's


def read_front(path: Path) -> list[dict]:
    """The points of a `front.json`.

    Raises:
      ValueError: If the file is missing, damaged or holds no front.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give the front.json that launch.search wrote")
    points = sealed.read(path, "search again, or give another front.json").get("front")
    if not isinstance(points, list) or not points or any(
            not isinstance(point, dict) or not {"subnet", "top1"} <= set(point)
            for point in points):
        raise ValueError(f"{path} holds no front; give the front.json that launch.search wrote")
    return points


def export_front(run: TrainedRun, points: list[dict], folder: Path, settings: ExportSettings
                 ) -> tuple[list[str], list[str], str]:
    """Exports every point, compares it with its promise, and writes `files.csv`.

    Args:
      points: The points, as `read_front` gives them.
      settings: How they are exported; each is exported at its own resolution.

    Returns:
      Sentences that say what is not kept, others that say what so few images cannot tell, and
      what to print.

    Raises:
      ValueError: If a subnet is not of this run's space; raised before anything is compiled.
    """
    candidates = [parse_candidate(run.space, point["subnet"]) for point in points]
    held_out, meters = run.held_out("validation", settings.images), {}
    rows, failures, doubts = [], [], []
    for point, (subnet, resolution) in tqdm(list(zip(points, candidates, strict=True)),
                                            desc="exporting", unit="subnet", leave=False):
        if resolution not in meters:
            meters[resolution] = run.meter(held_out, resolution=resolution)
        exported = export(run, subnet, folder, dataclasses.replace(settings, resolution=resolution),
                          meter=meters[resolution])
        rows.append(_row(point, exported))
        failures += [f"{point['subnet']}: {failure}" for failure in exported.failures]
        doubts += [f"{point['subnet']}: {doubt}" for doubt in exported.doubts]
        if abs(rows[-1]["difference"]) > PROMISE:
            failures.append(f"{point['subnet']}: promised {point['top1']:.2%}, the file has "
                            f"{rows[-1]['top1']:.2%}")
    sealed.replace(folder / "files.csv", sealed.rows(rows))
    return failures, doubts, f"{_text(rows)}\n\n{run.origin}\nfiles: {folder}/"


def _row(point: dict, exported: Exported) -> dict:
    card = exported.card
    top1 = {name: card["check"][name] for name in ("top1", "top1_low", "top1_high", "images")}
    return {"subnet": point["subnet"], "promised": point["top1"], **top1,
            "difference": card["check"]["top1"] - point["top1"],
            "agreement": card["check"]["top1_agreement"], "size_bytes": card["size_bytes"],
            "latency_ms": card.get("latency", {}).get("p10_ms"), "file": exported.path.name}


def _text(rows: list[dict]) -> str:
    accuracies = [percent(row["top1"], row["images"]) for row in rows]
    width, second = (max(map(len, column)) for column in (
        [row["subnet"] for row in rows], ["  file", *accuracies]))
    lines = [f"{'subnet':{width}}  promised  {'file':>{second}}  difference  agreement      MB"
             f"       ms"]
    for row, accuracy in zip(rows, accuracies, strict=True):
        latency = f"{row['latency_ms']:7.3f}" if row["latency_ms"] is not None else ""
        lines.append(f"{row['subnet']:{width}}  {row['promised']:8.2%}  {accuracy:>{second}}  "
                     f"{100 * row['difference']:+10.2f}  {row['agreement']:9.2%}  "
                     f"{row['size_bytes'] / 1e6:6.3f}  {latency}")
    largest = max(abs(row["difference"]) for row in rows)
    return "\n".join([*lines, f"largest difference to the promise: {100 * largest:.2f} points"])
