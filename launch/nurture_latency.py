"""Times what the networks of a once-for-all training are made of, for a limit in milliseconds.

    python -m launch.nurture_latency --workdir runs/once --out here.json

For a phone: pack a kit, run its script there, read the result back.
    python -m launch.nurture_latency --workdir runs/once --kit kit.zip
    (there)  unzip kit.zip && python device_timer.py --out timings.json
    python -m launch.nurture_latency --workdir runs/once --timings timings.json --out phone.json
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs

with needs("nurture"), needs("export"):
    from deps_jax.search.latency import LatencyTable, write_kit
    from deps_jax.search.timings import bar, read_timings, timings_here
    from nurture_jax.deploy.clip_latency import ClipLatency, ToTime

WORKDIR = flags.DEFINE_string("workdir", None, "folder of launch.train_nurture_once", required=True)
OUT = flags.DEFINE_string("out", "", "the table; empty is WORKDIR/latency_table.json")
PRECISION = flags.DEFINE_enum("precision", "fp32", ("fp32", "int8"), "of the models")
THREADS = flags.DEFINE_integer("threads", 1, "of onnxruntime", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 20, "in which every model is timed", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of the backbones that check the table")
KIT = flags.DEFINE_string("kit", "", "pack the models for another machine into this zip instead")
TIMINGS = flags.DEFINE_string("timings", "", "use what device_timer.py has measured elsewhere")


def main(_):
    asked = ToTime.of_run(Path(WORKDIR.value), PRECISION.value, SEED.value)
    if KIT.value:
        write_kit(Path(KIT.value), asked.plan, asked.clips())
        print(f"written: {KIT.value}; on the device: unzip it, python device_timer.py")
        return
    if TIMINGS.value:
        timings = read_timings(Path(TIMINGS.value))
    else:
        timings = timings_here(asked.plan.models() | asked.clips(), threads=THREADS.value,
                               rounds=ROUNDS.value, progress=bar)
    table = LatencyTable.fit(asked.plan, timings)
    latency = ClipLatency.of(table, asked.clip, asked.network.settings)
    path = Path(OUT.value or Path(WORKDIR.value) / "latency_table.json")
    table.save(path)
    print(f"{table.summary()}\n\n{latency.summary()}\n\nfile: {path}")


if __name__ == "__main__":
    run(main)
