"""Trains NurtureNet with inputs and proxy tasks switched off; run it again to continue.

Several processes may share the folder: see `nurture_jax.runs.ablation`.

    python -m launch.nurture_ablation --config configs/nurture.py:demo --data DATASET \\
        --workdir runs/ablation

With --compressed, its files are measured beside the full network, in fp32 and int8. With --sizes,
its last layers are fitted again without each group of sizes: what each brings, with and without
the table.
"""
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from deps_jax.common.command.cli import run, seeds_of
from deps_jax.common.command.extras import needs

with needs("nurture"):
    from nurture_jax.runs import size_ablation
    from nurture_jax.runs.ablation import VARIANTS, ablate, table

CONFIG = config_flags.DEFINE_config_file("config", None, "config file, FILE.py or FILE.py:OPTION")
WORKDIR = flags.DEFINE_string("workdir", None, "folder of all runs and of the table")
DATA = flags.DEFINE_string("data", None, "folder of visits.csv and videos")
SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "one run of each variant for each")
COMPRESSED = flags.DEFINE_bool("compressed", False, "also rows of the files of the last of the "
                               "--variants, which is the full network by default")
SIZES = flags.DEFINE_bool("sizes", False, "also what each group of sizes brings to the last of the "
                          "--variants, in minutes")
VARIANTS_FLAG = flags.DEFINE_list("variants", list(VARIANTS), "rows of the table")
flags.mark_flags_as_required(["config", "workdir", "data"])


def main(_):
    config = CONFIG.value.to_dict()
    config["data"]["dir"] = DATA.value
    seeds = seeds_of(SEEDS.value)
    variants = list(dict.fromkeys(VARIANTS_FLAG.value))
    for variant in variants[-1:] if SIZES.value else ():
        size_ablation.check(config, variant)
    outcomes = ablate(config, Path(WORKDIR.value), seeds=seeds, variants=variants)
    if COMPRESSED.value:
        with needs("export"):
            from nurture_jax.deploy import compressed
        rows = compressed.compress(Path(WORKDIR.value), seeds, variants[-1])
        print(f"files of {variants[-1]!r}:\n\n{compressed.table(rows)}\n")
    if SIZES.value:
        print(f"sizes of {variants[-1]!r}:\n\n"
              f"{size_ablation.of_variant(Path(WORKDIR.value), variants[-1], seeds)}\n")
    print(f"{table(outcomes)}\n\nfiles: {WORKDIR.value}/ablation.csv, .json, .md, .png")


if __name__ == "__main__":
    run(main)
