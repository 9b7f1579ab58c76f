"""Exports one subnet of a trained supernet, checked, with a model card beside it.

    python -m launch.export_subnet --workdir runs/c10 --subnet d2e3 --precision int8
"""
from pathlib import Path

from absl import flags

from deps_jax.common.cli import run
from deps_jax.export import FORMATS, PRECISIONS, ExportSettings, export, summary
from deps_jax.subnet import decode
from deps_jax.trained import TrainedRun

WORKDIR = flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
SUBNET = flags.DEFINE_string("subnet", None, "name, such as d2e3 or smallest", required=True)
FORMAT = flags.DEFINE_enum("format", "onnx", FORMATS, "of the file")
PRECISION = flags.DEFINE_enum("precision", "fp32", PRECISIONS, "int8 is weights only")
RESOLUTION = flags.DEFINE_integer("resolution", None, "of the images in pixels")
IMAGES = flags.DEFINE_integer("images", 0, "validation images for the check, 0 is all")
CALIBRATION = flags.DEFINE_string("calibration_dir", "", "photos that give int8_static its ranges")
THREADS = flags.DEFINE_integer("threads", 1, "of onnxruntime, for the latency")
OUT = flags.DEFINE_string("out", "", "folder; empty is WORKDIR/exported")
DATA_DIR = flags.DEFINE_string("data_dir", None, "where the data lies now, if it has moved")


def main(_):
    settings = ExportSettings(FORMAT.value, PRECISION.value, RESOLUTION.value, IMAGES.value,
                              CALIBRATION.value, THREADS.value)
    trained = TrainedRun.open(Path(WORKDIR.value), DATA_DIR.value)
    subnet = decode(trained.space, SUBNET.value)
    folder = Path(OUT.value or Path(WORKDIR.value) / "exported")
    exported = export(trained, subnet, folder, settings)
    print(summary(exported))
    return 1 if exported.failures else 0


if __name__ == "__main__":
    run(main)
