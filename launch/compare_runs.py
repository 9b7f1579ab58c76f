"""Puts evaluated runs side by side: mean top-1 by method over seeds, and a plot over MACs.

    python -m launch.compare_runs --workdirs runs/deps_8,runs/deps_9,runs/bignas_8 --out runs/both
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.files import sealed
from deps_jax.evaluation import report

WORKDIRS = flags.DEFINE_list("workdirs", None, "folders of evaluated runs", required=True)
SPLIT = flags.DEFINE_enum("split", "test", ["validation", "test"], "which evaluation to compare")
OUT = flags.DEFINE_string("out", "runs/comparison", "folder for the table and the plot")


def main(_):
    records = [report.read_results(Path(folder), SPLIT.value) for folder in WORKDIRS.value]
    text = report.comparison(records)
    out = Path(OUT.value)
    sealed.replace(out / "comparison.md", text + "\n")
    sealed.replace(out / "comparison.png", report.plot_accuracy(report.curves(records)))
    print(f"{text}\n\nfiles: {out}/")


if __name__ == "__main__":
    run(main)
