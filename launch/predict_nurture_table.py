"""Estimates all visits of a table; the visits of a child stand together in the answer.

    python -m launch.predict_nurture_table --workdir runs/newborns --table ward/visits.csv \\
        --out estimates.csv

Paths of videos are inside the folder of the table. Nothing leaves the machine.
"""
from functools import partial
from pathlib import Path

from absl import flags
from tqdm import tqdm

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_file

with needs("nurture"):
    from nurture_jax.runs import predict_table
    from nurture_jax.runs.predict import Predictor

WORKDIR = flags.DEFINE_string("workdir", None, "folder of an evaluated training run", required=True)
TABLE = flags.DEFINE_string("table", None, "visits, one a row (docs/nurture_data.md)",
                            required=True)
OUT = flags.DEFINE_string("out", None, "file of the answer, a .csv", required=True)
INTERVALS = flags.DEFINE_string("intervals", "", "intervals.json of another hospital, as "
                                "launch.evaluate_nurture --data --recalibrate writes it")
AUDIT = flags.DEFINE_string("audit", "", "file to which audit records are added, one JSON a line")


def main(_):
    table = Path(TABLE.value)
    visits = predict_table.read(table)
    out = output_file("out", OUT.value, (".csv",))
    audit = output_file("audit", AUDIT.value) if AUDIT.value else None
    predictor = Predictor.open(Path(WORKDIR.value), INTERVALS.value)
    progress = partial(tqdm, desc="estimating", unit="visit", leave=False)
    answers = predict_table.predict(predictor, visits, table.parent, progress)
    print(f"{predict_table.write(answers, out, audit)}\nanswer: {out}")


if __name__ == "__main__":
    run(main)
