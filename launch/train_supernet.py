"""Trains a supernet; run the same command again to continue.

    python -m launch.train_supernet --config configs/deps_cifar10.py --workdir runs/c10
"""
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from deps_jax.common.command.cli import run
from deps_jax.training import experiment

CONFIG = config_flags.DEFINE_config_file("config", None, "config file, FILE.py or FILE.py:OPTION")
WORKDIR = flags.DEFINE_string("workdir", None, "folder of checkpoints, metrics and reports")
PROFILE = flags.DEFINE_string("profile", "", "steps to trace for xprof, START:STEPS, such as 100:5")
flags.mark_flags_as_required(["config", "workdir"])


def main(_):
    config = CONFIG.value.to_dict()
    experiment.train(experiment.Experiment.from_dict(config), Path(WORKDIR.value), config,
                     profile=PROFILE.value)


if __name__ == "__main__":
    run(main, together=True)
