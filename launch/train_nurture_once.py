"""Trains NurtureNet on a supernet, once for all phones; the same command again continues.

    python -m launch.train_nurture_once --config configs/nurture_once.py:demo --data DATASET \\
        --workdir runs/once
"""
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs

with needs("nurture"):
    from nurture_jax.once_for_all import experiment

CONFIG = config_flags.DEFINE_config_file("config", None, "config file, FILE.py or FILE.py:OPTION")
WORKDIR = flags.DEFINE_string("workdir", None, "folder of checkpoints, metrics and splits")
DATA = flags.DEFINE_string("data", None, "folder of visits.csv and videos; replaces data.dir")
PROFILE = flags.DEFINE_string("profile", "", "steps to trace for xprof, START:STEPS, such as 100:5")
flags.mark_flags_as_required(["config", "workdir"])


def main(_):
    config = CONFIG.value.to_dict()
    if DATA.value:
        config["data"]["dir"] = DATA.value
    if not config["data"]["dir"]:
        raise ValueError("there is no data set; give its folder with --data")
    settings = experiment.OnceForAll.from_dict(config)
    experiment.train(settings, Path(WORKDIR.value), config, PROFILE.value)
    print(f"trained; python -m launch.nurture_subnets --workdir {WORKDIR.value} tells how its "
          f"networks do")


if __name__ == "__main__":
    run(main, together=True)
