"""From a finished run and a limit to one file for a device, with one page about it."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from deps_jax.common.command.page import render
from deps_jax.common.files import sealed
from deps_jax.evaluation.certainty import percent
from deps_jax.export import onnx_writer
from deps_jax.export.device_timer import measure
from deps_jax.export.export import Exported, ExportSettings, export, summary
from deps_jax.runs.trained import TrainedRun
from deps_jax.search import front_report
from deps_jax.search.latency import LatencyTable, TimingPlan
from deps_jax.search.search import Goal, check_feasible
from deps_jax.search.search_run import (
    SearchSettings,
    best_within,
    check_precision,
    cost_functions,
    search_run,
)
from deps_jax.search.timings import Progress, timings_here
from deps_jax.space.candidate import parse_candidate
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.supernet.network import random_weights


def specialize(run: TrainedRun, limits: Mapping[str, float], folder: Path, *,
               settings: ExportSettings, search_settings: SearchSettings,
               tables: Sequence[LatencyTable] = (),
               progress: Progress = iter) -> tuple[Exported, str]:
    """Exports and checks the most accurate subnet within limits, and writes `specialized.html`.

    A limit on "latency_ms" without tables makes them of this machine first, and then the networks
    of the front are timed as a whole, too: a table errs by some percent, a limit is a limit.

    Args:
      limits: The most that the subnet may cost, by name of the cost; none takes the most accurate.
      folder: Folder of the export, the search and the page.
      settings: How the subnet is exported, at the resolution that is found for it.
      tables: Latency tables, one for each resolution.
      progress: As of `device_timer.measure`.

    Returns:
      The export, whose failures also name limits on latency and file size that are not kept in
      the end; and what to print.

    Raises:
      ValueError: If a limit is not above 0, no subnet keeps them, or a table is of another
        precision than the export; raised before anything is measured on images, all but the
        second before anything is timed.
    """
    check_precision(tables, settings.precision)
    goal = Goal(tuple(limits) or ("macs",), dict(limits))
    goal.check_limits()
    genome = search_settings.genome(run)
    without = {name: limit for name, limit in limits.items() if name != "latency_ms"}
    check_feasible(genome, cost_functions(genome), Goal(tuple(without) or ("macs",), without))
    timed_here = "latency_ms" in limits and not tables
    if timed_here:
        tables = [time_here(run.space, resolution, settings, progress)
                  for resolution in genome.resolutions]
        for table in tables:
            table.save(folder / f"latency_table_{table.question['resolution']}px.json")
    points, searched = search_run(run, goal, folder / "search", tables=tables,
                                  settings=search_settings)
    chosen, timings, timed = points, "", {}
    if timed_here:
        timed = time_networks(run.space, points, settings, progress)
        timings = _timings_text(points, timed)
        chosen = [point for point in points if timed[point["subnet"]] <= limits["latency_ms"]] or [
            min(points, key=lambda point: timed[point["subnet"]])]
    best = best_within(chosen)["subnet"]
    subnet, resolution = parse_candidate(run.space, best)
    exported = export(run, subnet, folder, dataclasses.replace(settings, resolution=resolution))
    exported = dataclasses.replace(exported, failures=(
        *exported.failures, *_broken(exported, limits, timed.get(best))))
    text = "\n\n".join(part for part in (searched, timings, summary(exported)) if part)
    sealed.replace(folder / "specialized.html",
                   _page(exported, limits, folder / "search", timed))
    return exported, f"{text}\n\nreport: {folder / 'specialized.html'}"


def time_here(space: SearchSpace, resolution: int, settings: ExportSettings,
              progress: Progress = iter) -> LatencyTable:
    """A latency table of this machine, in the precision of the export where pieces have it."""
    plan = TimingPlan(space, resolution, _timed_precision(settings))
    return LatencyTable.fit(plan, timings_here(plan.models(), threads=settings.threads,
                                               progress=progress))


def time_networks(space: SearchSpace, points: Sequence[Mapping], settings: ExportSettings,
                  progress: Progress = iter) -> dict[str, float]:
    """Milliseconds (10th percentile) of the points' whole networks on this machine, by name."""
    def model(name: str) -> bytes:
        network = layers(space, *parse_candidate(space, name))
        return onnx_writer.write(network, random_weights(network), _timed_precision(settings),
                                 batch_size=1).SerializeToString()

    models = {point["subnet"]: model(point["subnet"]) for point in points}
    return {name: latency["p10_ms"] for name, latency in measure(
        models, threads=settings.threads, progress=progress).items()}


def _timed_precision(settings: ExportSettings) -> str:
    """int8_static needs trained weights and images; it is timed as fp32 until it is exported."""
    return "fp32" if settings.precision == "int8_static" else settings.precision


def _timings_text(points: Sequence[Mapping], timed: Mapping[str, float]) -> str:
    return "\n".join(["the front timed as whole networks:"] + [
        f"  {timed[point['subnet']]:7.3f} ms ({point['latency_ms']:.3f} predicted)  "
        f"{point['subnet']}" for point in points])


def _broken(exported: Exported, limits: Mapping[str, float], latency_ms: float | None) -> list[str]:
    """Sentences about limits that the file does not keep.

    Args:
      latency_ms: Latency of the network when the front was timed; None where it was not. What
        the export has measured on its own minutes later differs by what else the machine does.
    """
    card, sentences = exported.card, []
    if latency_ms is not None and card["precision"] == "int8_static":
        latency_ms = card["latency"]["p10_ms"]  # the front was timed in fp32
    for name, limit in limits.items():
        if name.startswith("file_bytes") and card["size_bytes"] > limit:
            sentences.append(f"the file has {card['size_bytes']} bytes, asked were at most "
                             f"{limit:g}")
        if name == "latency_ms" and latency_ms is not None and latency_ms > limit:
            sentences.append(f"it takes {latency_ms:.3f} ms (p10), asked were at most {limit:g}; "
                             f"try again on a quiet machine, or ask for less")
    return sentences


def _page(exported: Exported, limits: Mapping[str, float], searched: Path,
          timed: Mapping[str, float]) -> str:
    card, check = exported.card, exported.card["check"]
    latency = card.get("latency", {})
    share = lambda name: percent(check[name], check["images"])
    pixels = card["preprocessing"]["resolution"]
    own = pixels == card["space"]["resolution"]
    chosen = card["subnet"] if own else f"{card['subnet']}@{pixels}"
    asked = ", ".join(f"{name} at most {limit:g}" for name, limit in limits.items()) or "no limit"
    facts = {"asked for": asked, "subnet": chosen, "file": exported.path.name,
             "top-1 of the file": f"{share('top1')} on {check['images']} {check['split']} images; "
                                  f"in the supernet {share('top1_supernet')}, agreement "
                                  f"{share('top1_agreement')}",
             "size": f"{card['size_bytes'] / 1e6:.3f} MB, {card['precision']}",
             "MACs": f"{card['macs'] / 1e6:.2f} million",
             "latency": f"{latency['p10_ms']:.3f} ms (p10), {latency['median_ms']:.3f} ms (median)"
                        f", {latency['device']['processor']}" if latency else "not measured",
             "verdict": exported.verdict}
    record = sealed.read(searched / "front.json", "specialize again")
    points = [{**point, "measured_latency_ms": timed[point["subnet"]]} if timed else point
              for point in record["front"]]
    groups = {"searched": points, **{name: record[name] for name in (
        "random search", "uniform subnets")}}
    cost = record["goal"]["objectives"][0]
    return render(__package__, "specialized.html.j2", title="One network for one device",
                  facts=facts, chart=front_report.chart(groups, cost, chosen),
                  table=front_report.table(points, chosen))
