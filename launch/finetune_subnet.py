"""Trains one subnet of a finished run for some more epochs and exports it again.

    python -m launch.finetune_subnet --workdir runs/c10 --subnet d3e4 --out runs/c10_d3e4

The folder it leaves is a run of its own: run the same command again to continue a stopped one,
and give it to launch.export_subnet for other formats.
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_folder
from deps_jax.evaluation.certainty import percent
from deps_jax.runs.finetune import RATE, finetune_config
from deps_jax.runs.measured import MeasuredAccuracy
from deps_jax.runs.trained import TrainedRun
from deps_jax.space.subnet_text import decode
from deps_jax.training import experiment

with needs("export"):
    from deps_jax.export.export import PRECISIONS, ExportSettings, export, summary

WORKDIR = flags.DEFINE_string("workdir", None, "folder of the supernet's run", required=True)
SUBNET = flags.DEFINE_string("subnet", None, "name, such as d2e3 or d2e3k7@24", required=True)
OUT = flags.DEFINE_string("out", None, "folder of the new run", required=True)
EPOCHS = flags.DEFINE_float("epochs", 25.0, "of training images")
RATE_FLAG = flags.DEFINE_float("rate", RATE, "peak learning rate as part of the supernet's")
PRECISION = flags.DEFINE_enum("precision", "fp32", PRECISIONS, "of the exported file")
DATA_DIR = flags.DEFINE_string("data_dir", None, "where the data lies now, if it has moved")


def main(_):
    folder, out = Path(WORKDIR.value), output_folder("out", OUT.value)
    config = finetune_config(folder, SUBNET.value, epochs=EPOCHS.value, rate=RATE_FLAG.value,
                             data_dir=DATA_DIR.value)
    measure = MeasuredAccuracy(TrainedRun.open(folder, DATA_DIR.value))
    # First, since whatever is wrong is told before the first step.
    experiment.train(experiment.Experiment.from_dict(config), out, config, splits_of=folder)
    before = measure([SUBNET.value])[0]
    tuned = TrainedRun.open(out)
    exported = export(tuned, decode(tuned.space, tuned.chosen("")), out / "exported",
                      ExportSettings(precision=PRECISION.value))
    share = lambda top1: percent(top1, exported.card["check"]["images"])
    print(f"top-1 on validation images: {share(before)} in the supernet, "
          f"{share(exported.card['check']['top1_supernet'])} after {EPOCHS.value:g} epochs alone\n"
          f"{summary(exported)}")
    return 1 if exported.failures else 0


if __name__ == "__main__":
    run(main)
