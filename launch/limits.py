"""Flags that several commands share: what a subnet may cost."""
from pathlib import Path

from absl import flags

from deps_jax.search.latency import LatencyTable

LATENCY = flags.DEFINE_float("max_latency_ms", None, "on the device of the latency table")
MACS = flags.DEFINE_float("max_macs", None, "multiply-adds, such as 20e6")
PARAMS = flags.DEFINE_float("max_params", None, "parameters, such as 1e6")
PEAK = flags.DEFINE_float("max_peak_bytes", None, "of float32 activations, for one image")
FILE = flags.DEFINE_float("max_file_bytes", None, "of the model file in --precision")
TABLE = flags.DEFINE_list("table", [], "latency tables of the device, one for each resolution")
RESOLUTIONS = flags.DEFINE_list("resolutions", [], "to choose from, in pixels, such as 24,28,32; "
                                "empty is that of training")


def limits(precision: str) -> dict[str, float]:
    """The given limits by name of the cost.

    Args:
      precision: of the exported file; with "int8_static", weights are stored as in "int8".
    """
    given = {"latency_ms": LATENCY.value, "macs": MACS.value, "params": PARAMS.value,
             "peak_activation_bytes": PEAK.value, file_cost(precision): FILE.value}
    return {name: value for name, value in given.items() if value is not None}


def file_cost(precision: str) -> str:
    """Name of the cost that is the size of the file."""
    return f"file_bytes_{precision.removesuffix('_static')}"


def tables() -> list[LatencyTable]:
    """The given latency tables; ValueError when one cannot be read."""
    return [LatencyTable.load(Path(path)) for path in TABLE.value]


def resolutions() -> tuple[int, ...]:
    """The given resolutions; ValueError when one is not a number."""
    try:
        return tuple(int(value) for value in RESOLUTIONS.value)
    except ValueError:
        raise ValueError(f"--resolutions {','.join(RESOLUTIONS.value)} holds what is no whole "
                         f"number; write pixels, such as 24,28,32") from None
