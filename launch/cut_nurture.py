"""Cuts one network out of a once-for-all training, as a run that every other command takes.

    python -m launch.cut_nurture --workdir runs/once --subnet d3e4k5 --out runs/phone
    python -m launch.cut_nurture --workdir runs/once --max_mmacs 20 --out runs/phone
    python -m launch.evaluate_nurture --workdir runs/phone
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs

with needs("nurture"):
    from nurture_jax.once_for_all.choose import best_within
    from nurture_jax.once_for_all.subnets import TrainedOnce
    from nurture_jax.training import messages

WORKDIR = flags.DEFINE_string("workdir", None, "folder of launch.train_nurture_once", required=True)
OUT = flags.DEFINE_string("out", None, "folder of the network's own run", required=True)
DATA = flags.DEFINE_string("data", "", "folder of the data set, where it has moved")
SUBNET = flags.DEFINE_string("subnet", "", "name of the network, such as largest or d3e4k5")
MAX_MMACS = flags.DEFINE_float("max_mmacs", 0.0, "most million multiply-adds of the backbone for a "
                               "frame; the best one within is measured and cut", lower_bound=0)
CANDIDATES = flags.DEFINE_integer("candidates", 20, "networks to measure for --max_mmacs",
                                  lower_bound=1)


def main(_):
    if bool(SUBNET.value) == bool(MAX_MMACS.value):
        raise ValueError("give either --subnet or --max_mmacs, to say which network is wanted")
    trained = TrainedOnce.open(Path(WORKDIR.value), DATA.value)
    name = SUBNET.value or best_within(trained, MAX_MMACS.value * 1e6, CANDIDATES.value).subnet
    errors = trained.cut(name, Path(OUT.value))
    print(f"{name} is a run of its own in {OUT.value}; {messages.summary(errors)}")


if __name__ == "__main__":
    run(main)
