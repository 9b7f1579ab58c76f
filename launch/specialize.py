"""From a finished run to a file for a device, in one command.

    python -m launch.specialize --workdir runs/c10 --max_latency_ms 2 --precision int8
"""
from pathlib import Path

from absl import flags
from tqdm import tqdm

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.runs.trained import TrainedRun

with needs("export"):
    from deps_jax.export.export import PRECISIONS, ExportSettings
    from deps_jax.search.search_run import SearchSettings
    from deps_jax.search.specialize import specialize
    from launch import limits

WORKDIR = flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
PRECISION = flags.DEFINE_enum("precision", "fp32", PRECISIONS, "int8 is weights only")
THREADS = flags.DEFINE_integer("threads", 1, "of onnxruntime", lower_bound=1)
MEASURED = flags.DEFINE_integer("measured", 100, "subnets that the accuracy predictor learns from")
IMAGES = flags.DEFINE_integer("images", 1000, "validation images in these measurements; 0 is all")
SEED = flags.DEFINE_integer("seed", 0, "of the search")
OUT = flags.DEFINE_string("out", "", "folder; empty is WORKDIR/specialized")
DATA_DIR = flags.DEFINE_string("data_dir", None, "where the data lies now, if it has moved")


def main(_):
    allowed, tables = limits.limits(PRECISION.value), limits.tables()
    search_settings = SearchSettings(MEASURED.value, IMAGES.value, seed=SEED.value,
                                     resolutions=limits.resolutions())
    trained = TrainedRun.open(Path(WORKDIR.value), DATA_DIR.value)
    exported, text = specialize(
        trained, allowed, Path(OUT.value or Path(WORKDIR.value) / "specialized"), tables=tables,
        settings=ExportSettings(precision=PRECISION.value, threads=THREADS.value),
        search_settings=search_settings,
        progress=lambda rounds: tqdm(rounds, desc="timing", unit="round", leave=False))
    print(text)
    return 1 if exported.failures else 0


if __name__ == "__main__":
    run(main)
