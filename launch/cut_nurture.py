"""Cuts one network out of a once-for-all training, as a run that every other command takes.

    python -m launch.cut_nurture --workdir runs/once --subnet d3e3k5 --out runs/phone
    python -m launch.cut_nurture --workdir runs/once --max_mmacs 20 --out runs/phone
    python -m launch.cut_nurture --workdir runs/once --table phone.json --max_latency_ms 300 \\
        --out runs/phone
    python -m launch.evaluate_nurture --workdir runs/phone  # the table: launch.nurture_latency
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_folder

with needs("nurture"):
    from nurture_jax.once_for_all.choose import Limit, best_within
    from nurture_jax.once_for_all.subnets import TrainedOnce
    from nurture_jax.training import messages

WORKDIR = flags.DEFINE_string("workdir", None, "folder of launch.train_nurture_once", required=True)
OUT = flags.DEFINE_string("out", None, "folder of the network's own run", required=True)
DATA = flags.DEFINE_string("data", "", "folder of the data set, where it has moved")
SUBNET = flags.DEFINE_string("subnet", "", "name of the network, such as largest or d3e3k5")
MAX_MMACS = flags.DEFINE_float("max_mmacs", 0.0, "most million multiply-adds of the backbone for a "
                               "frame; the best one within is measured and cut", lower_bound=0)
LATENCY = flags.DEFINE_float("max_latency_ms", 0.0, "longest time for a clip on the device of the "
                             "--table, decoding left out", lower_bound=0)
TABLE = flags.DEFINE_string("table", "", "latency table of the device")
CANDIDATES = flags.DEFINE_integer("candidates", 20, "networks to measure for a limit",
                                  lower_bound=1)


def main(_):
    if sum(map(bool, (SUBNET.value, MAX_MMACS.value, LATENCY.value))) != 1:
        raise ValueError("give one of --subnet, --max_mmacs and --max_latency_ms, to say which "
                         "network is wanted")
    if bool(TABLE.value) != bool(LATENCY.value):
        raise ValueError("--max_latency_ms and --table belong together: give both, or --max_mmacs")
    name, folder, out = SUBNET.value, Path(WORKDIR.value), output_folder("out", OUT.value)
    limit = _latency_limit(folder) if TABLE.value else None  # before the data set is read
    trained = TrainedOnce.open(folder, DATA.value, [name] if name else [])
    if not name:
        name = best_within(trained, limit or Limit.of_macs(trained, MAX_MMACS.value),
                           CANDIDATES.value).subnet
    errors = trained.cut(name, out)
    print(f"{name} is a run of its own in {out}; {messages.summary(errors)}")


def _latency_limit(folder):
    with needs("export"):
        from nurture_jax.deploy.clip_latency import ClipLatency
    latency = ClipLatency.of_run(TABLE.value, folder)
    return Limit(latency.of_subnet, LATENCY.value, "ms a clip")


if __name__ == "__main__":
    run(main)
