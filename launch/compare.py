"""Trains several methods with several seeds at equal cost and puts them side by side.

    python -m launch.compare --config configs/compare_cifar10.py --config.base.data.dir DIR \\
        --out runs/comparison
    python -m launch.compare --out runs/comparison --report_only

    python -m launch.compare --config configs/tune_cifar10.py:final --config.base.data.dir DIR \
        --best_of runs/trials --out runs/final

The first line may be given again to continue, and by several processes at once: each takes runs
that nobody else is at work on. The second writes the report of what is finished so far. The third
compares the best trial of each method in a folder that was measured on validation images.
"""
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from deps_jax.common.command.cli import run
from deps_jax.comparison.report import write_report
from deps_jax.comparison.run_all import compare
from deps_jax.comparison.tuning import with_best

CONFIG = config_flags.DEFINE_config_file("config", None, "config file, FILE.py or FILE.py:OPTION")
OUT = flags.DEFINE_string("out", None, "folder of all runs and of the report", required=True)
BEST_OF = flags.DEFINE_string("best_of", None, "folder of trials, whose best are compared")
REPORT_ONLY = flags.DEFINE_bool("report_only", False, "train nothing, report what is finished")


def main(_):
    folder = Path(OUT.value)
    if REPORT_ONLY.value:
        print(write_report(folder))
        return
    if CONFIG.value is None:
        raise ValueError("--config is missing; give one, such as configs/compare_cifar10.py, or "
                         "--report_only")
    config = CONFIG.value.to_dict()
    if BEST_OF.value:
        config = with_best(config, Path(BEST_OF.value))
    print(compare(config, folder))


if __name__ == "__main__":
    run(main)
