"""Writes a trained NurtureNet as one file that runs without JAX, with its card beside it.

    python -m launch.export_nurture --workdir runs/newborns --max_megabytes 15
    python -m launch.export_nurture --workdir runs/phone --max_latency_ms 300 --table phone.json

The file is the most exact that meets the limits; accuracy, coverage and gate are measured on it.
"""
import math

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_folder

with needs("nurture"), needs("export"):
    from nurture_jax.deploy.export import ExportSettings, export, summary

WORKDIR = flags.DEFINE_string("workdir", None, "folder of an evaluated training run", required=True)
MEGABYTES = flags.DEFINE_float("max_megabytes", math.inf, "largest file, in 10^6 bytes")
LATENCY = flags.DEFINE_float("max_latency_ms", math.inf, "longest time for a clip, decoding "
                             "left out, on the device of --table, or else on this machine")
TABLE = flags.DEFINE_string("table", "", "of launch.nurture_latency, for a network that was cut "
                            "out of that training")
THREADS = flags.DEFINE_integer("threads", 1, "of onnxruntime", lower_bound=1)
SPLIT = flags.DEFINE_enum("split", "test", ("test", "validation"), "that the file is measured on")
OUT = flags.DEFINE_string("out", "", "folder; empty is WORKDIR/exported")
DATA_DIR = flags.DEFINE_string("data", "", "where the data set lies now, if it has moved")


def main(_):
    if OUT.value:
        output_folder("out", OUT.value)
    settings = ExportSettings(MEGABYTES.value, LATENCY.value, THREADS.value, SPLIT.value,
                              DATA_DIR.value, TABLE.value)
    print(summary(export(WORKDIR.value, OUT.value, settings)))


if __name__ == "__main__":
    run(main)
