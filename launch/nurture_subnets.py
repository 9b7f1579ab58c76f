"""How the networks of a once-for-all training do, and what they cost.

    python -m launch.nurture_subnets --workdir runs/once
    python -m launch.nurture_subnets --workdir runs/once --subnets smallest,largest

Errors are those of the validation split, before the last layers of each are fitted once more.
"""
import dataclasses
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.files import sealed

with needs("nurture"):
    from nurture_jax.once_for_all.subnets import TrainedOnce, table

WORKDIR = flags.DEFINE_string("workdir", None, "folder of launch.train_nurture_once", required=True)
DATA = flags.DEFINE_string("data", "", "folder of the data set, where it has moved")
SUBNETS = flags.DEFINE_list("subnets", [], "names; default: the smallest and the uniform ones")


def main(_):
    trained = TrainedOnce.open(Path(WORKDIR.value), DATA.value)
    measured = [trained.measure(name) for name in SUBNETS.value or trained.names]
    print(table(measured))
    sealed.write(Path(WORKDIR.value) / "subnets.json",
                 {"subnets": [dataclasses.asdict(one) for one in measured]})


if __name__ == "__main__":
    run(main)
