"""Trains NurtureNet with inputs and proxy tasks switched off; run it again to continue.

    python -m launch.nurture_ablation --config configs/nurture.py:demo --data DATASET \\
        --workdir runs/ablation
"""
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from deps_jax.common.cli import run
from nurture_jax.ablation import VARIANTS, ablate, table

CONFIG = config_flags.DEFINE_config_file("config", None, "config file, FILE.py or FILE.py:OPTION")
WORKDIR = flags.DEFINE_string("workdir", None, "folder of all runs and of the table")
DATA = flags.DEFINE_string("data", None, "folder of visits.csv and videos")
SEEDS = flags.DEFINE_integer("seeds", 3, "runs of each variant", lower_bound=1)
VARIANTS_FLAG = flags.DEFINE_list("variants", list(VARIANTS), "rows of the table")
flags.mark_flags_as_required(["config", "workdir", "data"])


def main(_):
    config = CONFIG.value.to_dict()
    config["data"]["dir"] = DATA.value
    outcomes = ablate(config, Path(WORKDIR.value), seeds=range(SEEDS.value),
                      variants=VARIANTS_FLAG.value)
    print(f"{table(outcomes)}\n\nfiles: {WORKDIR.value}/ablation.csv, .json, .md, .png")


if __name__ == "__main__":
    run(main)
