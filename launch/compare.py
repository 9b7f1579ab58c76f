"""Trains several methods with several seeds at equal cost and puts them side by side.

    python -m launch.compare --config configs/compare_cifar10.py --config.base.data.dir DIR \\
        --out runs/comparison
    python -m launch.compare --out runs/comparison --report_only

The first line may be given again to continue, and by several processes at once: each takes runs
that nobody else is at work on. The second writes the report of what is finished so far.
"""
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from deps_jax.common.command.cli import run
from deps_jax.comparison.report import write_report
from deps_jax.comparison.run_all import compare

CONFIG = config_flags.DEFINE_config_file("config", None, "config file, FILE.py or FILE.py:OPTION")
OUT = flags.DEFINE_string("out", None, "folder of all runs and of the report", required=True)
REPORT_ONLY = flags.DEFINE_bool("report_only", False, "train nothing, report what is finished")


def main(_):
    folder = Path(OUT.value)
    if REPORT_ONLY.value:
        print(write_report(folder))
        return
    if CONFIG.value is None:
        raise ValueError("--config is missing; give one, such as configs/compare_cifar10.py, or "
                         "--report_only")
    print(compare(CONFIG.value.to_dict(), folder))


if __name__ == "__main__":
    run(main)
