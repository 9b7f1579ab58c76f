"""Flags of the commands that search: the run, how its subnets are measured, what one may cost."""
from pathlib import Path

from absl import flags

from deps_jax.runs.trained import TrainedRun
from deps_jax.search.latency import LatencyTable
from deps_jax.search.search_run import SearchSettings

WORKDIR = flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
DATA_DIR = flags.DEFINE_string("data_dir", None, "where the data lies now, if it has moved")
MEASURED = flags.DEFINE_integer("measured", 100, "subnets that the accuracy predictor learns from")
IMAGES = flags.DEFINE_integer("images", 1000, "validation images in these measurements; 0 is all",
                              lower_bound=0)
SEED = flags.DEFINE_integer("seed", 0, "of the search")
LATENCY = flags.DEFINE_float("max_latency_ms", None, "on the device of the latency table")
MACS = flags.DEFINE_float("max_macs", None, "multiply-adds, such as 20e6")
PARAMS = flags.DEFINE_float("max_params", None, "parameters, such as 1e6")
PEAK = flags.DEFINE_float("max_peak_bytes", None, "of float32 activations, for one image")
FILE = flags.DEFINE_float("max_file_bytes", None, "of the model file in --precision")
TABLE = flags.DEFINE_list("table", [], "latency tables of the device, one for each resolution")
RESOLUTIONS = flags.DEFINE_list("resolutions", [], "to choose from, in pixels, such as 24,28,32; "
                                "empty is that of training")


def trained() -> TrainedRun:
    """The run to search in; ValueError when there is none."""
    return TrainedRun.open(Path(WORKDIR.value), DATA_DIR.value)


def settings(**others) -> SearchSettings:
    """How to search; ValueError when a resolution is not a number.

    Args:
      others: fields of SearchSettings that these flags do not say.
    """
    try:
        resolutions = tuple(int(value) for value in RESOLUTIONS.value)
    except ValueError:
        raise ValueError(f"--resolutions {','.join(RESOLUTIONS.value)} holds what is no whole "
                         f"number; write pixels, such as 24,28,32") from None
    return SearchSettings(measured=MEASURED.value, images=IMAGES.value, seed=SEED.value,
                          resolutions=resolutions, **others)


def limits(precision: str) -> dict[str, float]:
    """The given limits by name of the cost.

    Args:
      precision: of the exported file; with "int8_static", weights are stored as in "int8".
    """
    given = {"latency_ms": LATENCY.value, "macs": MACS.value, "params": PARAMS.value,
             "peak_activation_bytes": PEAK.value,
             f"file_bytes_{precision.removesuffix('_static')}": FILE.value}
    return {name: value for name, value in given.items() if value is not None}


def tables() -> list[LatencyTable]:
    """The given latency tables; ValueError when one cannot be read."""
    return [LatencyTable.load(Path(path)) for path in TABLE.value]
