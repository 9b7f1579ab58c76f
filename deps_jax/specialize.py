"""From a finished run and a limit to one file for a device, with one page about it."""
from __future__ import annotations

import html
from pathlib import Path

from deps_jax.device_timer import describe_device, measure
from deps_jax.export import Exported, ExportSettings, export, summary
from deps_jax.latency import LatencyTable, Question
from deps_jax.search import Goal
from deps_jax.search_run import SearchSettings, best_within, search_run
from deps_jax.subnet import decode
from deps_jax.trained import TrainedRun


def specialize(run: TrainedRun, limits: dict[str, float], folder: Path, *,
               settings: ExportSettings, search_settings: SearchSettings,
               table: LatencyTable | None = None, progress=iter) -> tuple[Exported, str]:
    """The most accurate subnet within limits, exported and checked, and `specialized.html`.

    A limit on "latency_ms" without a table makes one of this machine first.

    Returns:
      (the export, what to print).

    Raises:
      ValueError: when no subnet keeps the limits, before anything is measured on images.
    """
    if "latency_ms" in limits and table is None:
        table = time_here(run, settings, progress)
        table.save(folder / "latency_table.json")
    goal = Goal(tuple(limits) or ("macs",), limits)
    points, searched = search_run(run, goal, folder / "search", table=table,
                                  settings=search_settings)
    best = best_within(points)
    exported = export(run, decode(run.space, best["subnet"]), folder, settings)
    text = f"{searched}\n\n{summary(exported)}"
    (folder / "specialized.html").write_text(_page(exported, limits, text))
    return exported, f"{text}\n\nreport: {folder / 'specialized.html'}"


def time_here(run: TrainedRun, settings: ExportSettings, progress=iter) -> LatencyTable:
    """A latency table of this machine, in the precision of the export where pieces have it."""
    precision = "fp32" if settings.precision == "int8_static" else settings.precision
    question = Question(run.space, run.space.resolution, precision)
    latencies = measure(question.models(), threads=settings.threads, progress=progress)
    return LatencyTable.fit(question, {"device": describe_device(settings.threads),
                                       "latencies": latencies})


def _page(exported: Exported, limits: dict[str, float], text: str) -> str:
    asked = ", ".join(f"{name} at most {limit:g}" for name, limit in limits.items()) or "no limit"
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{html.escape(exported.path.name)}</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto }}
pre {{ font-size: 12px; overflow-x: auto }}</style>
<h1>{html.escape(exported.card["subnet"])}</h1>
<p>Asked for: {html.escape(asked)}. Model: <code>{html.escape(exported.path.name)}</code>, with its
card beside it. <a href="search/front.html">The whole front</a>.
<pre>{html.escape(text)}</pre>
</html>
"""
