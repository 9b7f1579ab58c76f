"""How the networks of a once-for-all training do, and what they cost.

    python -m launch.nurture_subnets --workdir runs/once
    python -m launch.nurture_subnets --workdir runs/once --subnets smallest,largest
    python -m launch.nurture_subnets --workdir runs/once --table phone.json

Errors are those of the validation split, before the last layers of each are fitted once more. With
a table of launch.nurture_latency, there is the time for a clip on its device.
"""
import dataclasses
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.files import sealed
from deps_jax.space.subnet_text import decode

with needs("nurture"):
    from nurture_jax.once_for_all.subnets import TrainedOnce, table

WORKDIR = flags.DEFINE_string("workdir", None, "folder of launch.train_nurture_once", required=True)
DATA = flags.DEFINE_string("data", "", "folder of the data set, where it has moved")
SUBNETS = flags.DEFINE_list("subnets", [], "names; default: the smallest and the uniform ones")
TABLE = flags.DEFINE_string("table", "", "latency table of a device")


def main(_):
    folder, clip_ms = Path(WORKDIR.value), {}
    if TABLE.value:
        with needs("export"):
            from nurture_jax.deploy.clip_latency import ClipLatency
        latency = ClipLatency.of_run(TABLE.value, folder)  # before the data set is read
    trained = TrainedOnce.open(folder, DATA.value, SUBNETS.value)
    measured = [trained.measure(name) for name in SUBNETS.value or trained.names]
    if TABLE.value:
        clip_ms = {one.subnet: latency.of_subnet(decode(trained.network.space, one.subnet))
                   for one in measured}
    print(table(measured, clip_ms))
    rows = [dataclasses.asdict(one) | ({"clip_ms": clip_ms[one.subnet]} if clip_ms else {})
            for one in measured]
    sealed.write(folder / "subnets.json", {"subnets": rows})


if __name__ == "__main__":
    run(main)
