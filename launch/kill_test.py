"""Kills a training at random moments, restarts it, and compares it with an undisturbed one.

    python -m launch.kill_test --config configs/deps_digits.py:tiny --out runs/kills --kills 50

SIGKILL and SIGTERM come in turn. Exit code 1: something differs. With --together, two processes
train, and one of them gets SIGTERM; two go on, and one or four go on with a copy.
"""
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from deps_jax.common.command.cli import run
from deps_jax.common.loop.kills import kill_and_compare, stop_and_compare

config_flags.DEFINE_config_file("config", None, "config file, FILE.py or FILE.py:OPTION")
OUT = flags.DEFINE_string("out", None, "folder of both runs")
KILLS = flags.DEFINE_integer("kills", 50, "how often", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of the moments")
COMMAND = flags.DEFINE_enum("command", "train_supernet", ["train_supernet", "train_nurture"],
                            "of launch/")
TOGETHER = flags.DEFINE_boolean("together", False, "stop one of two processes instead")
flags.mark_flags_as_required(["config", "out"])


def main(_):
    given = flags.FLAGS["config"]
    changes = config_flags.get_override_values(given)
    command = [sys.executable, "-m", f"launch.{COMMAND.value}",
               f"--config={config_flags.get_config_filename(given)}",
               *(f"--config.{field}={value}" for field, value in changes.items())]
    compare = kill_and_compare
    if TOGETHER.value:
        compare, command = stop_and_compare, [*command, "--config.cadence.log_every=1"]
    found = compare(command, Path(OUT.value), KILLS.value, SEED.value)
    print(found)
    return 1 if found.differing else 0


if __name__ == "__main__":
    run(main)
