"""Times every piece of a search space, and predicts the latency of all its subnets from them.

    python -m launch.latency_table --workdir runs/c10 --out table.json

For another machine: pack a kit, run its script there, read the result back.
    python -m launch.latency_table --workdir runs/c10 --kit kit.zip
    (there)  unzip kit.zip && python device_timer.py --out timings.json
    python -m launch.latency_table --workdir runs/c10 --timings timings.json --out table.json
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_file
from deps_jax.common.files import sealed
from deps_jax.runs.trained import read_space

with needs("export"):
    from deps_jax.export.onnx_writer import PRECISIONS
    from deps_jax.search.latency import LatencyTable, TimingPlan, write_kit
    from deps_jax.search.timings import bar, read_timings, timings_here

WORKDIR = flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
OUT = flags.DEFINE_string("out", "", "the table, a .json; empty is WORKDIR/latency_table.json")
RESOLUTION = flags.DEFINE_integer("resolution", None, "of the images in pixels", lower_bound=1)
PRECISION = flags.DEFINE_enum("precision", None, PRECISIONS, "of models; or as --timings, or fp32")
THREADS = flags.DEFINE_integer("threads", 1, "of onnxruntime", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 20, "in which every model is timed", lower_bound=1)
SEED = flags.DEFINE_integer("seed", None, "of the networks that check the table; or as --timings")
KIT = flags.DEFINE_string("kit", "", "pack the models for another machine into this zip instead")
TIMINGS = flags.DEFINE_string("timings", "", "use what device_timer.py has measured elsewhere")
DATA_DIR = flags.DEFINE_string("data_dir", None, "where the data lies now, if it has moved")


def main(_):
    path = output_file("out", OUT.value, (".json",)) if OUT.value else (
        Path(WORKDIR.value) / "latency_table.json")
    space = read_space(Path(WORKDIR.value), DATA_DIR.value)
    timings = read_timings(Path(TIMINGS.value)) if TIMINGS.value else {}
    plan = TimingPlan.asked(space, timings, resolution=RESOLUTION.value, precision=PRECISION.value,
                            seed=SEED.value)
    if KIT.value:
        write_kit(Path(KIT.value), plan)
        print(f"written: {KIT.value}; on the device: unzip it, python device_timer.py")
        return
    timings = timings or timings_here(plan.models(), threads=THREADS.value, rounds=ROUNDS.value,
                                      progress=bar)
    table = LatencyTable.fit(plan, timings)
    table.save(path)
    sealed.replace(path.with_suffix(".png"), table.plot())
    print(f"{table.summary()}\n\nfiles: {path}, {path.with_suffix('.png')}")


if __name__ == "__main__":
    run(main)
