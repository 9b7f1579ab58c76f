"""Evaluates a trained NurtureNet on infants it has not seen, beside both baselines.

    python -m launch.evaluate_nurture --workdir runs/newborns
    python -m launch.evaluate_nurture --workdir runs/newborns --data OTHER --recalibrate 0.2

The second measures the same model on the infants of another hospital; a part of them calibrates the
intervals again, for launch.predict_nurture --intervals.
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs

with needs("nurture"):
    from nurture_jax.runs.evaluate_run import SPLITS, evaluate_run, parse_gate, summary

WORKDIR = flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
SPLIT = flags.DEFINE_enum("split", "test", SPLITS, "whose visits")
DATA = flags.DEFINE_string("data", "", "where the data set lies now, if it has moved; "
                           "or another one, on which nothing is trained")
RECALIBRATE = flags.DEFINE_float("recalibrate", 0.0, "part of the infants of another data set that "
                                 "calibrate the intervals again, such as 0.2")
GATE = flags.DEFINE_list("gate", [], "limits of the gate that replace those in force, such as "
                         "least_sharpness=0.004; the names are in "
                         "nurture_jax/clinic/checks.py")
SEED = flags.DEFINE_integer("seed", 0, "of the bootstrap and the baselines")


def main(_):
    folder = Path(WORKDIR.value)
    found = evaluate_run(folder, split=SPLIT.value, data_dir=DATA.value, seed=SEED.value,
                         gate=parse_gate(GATE.value), recalibrate=RECALIBRATE.value)
    print(summary(found, folder))


if __name__ == "__main__":
    run(main)
