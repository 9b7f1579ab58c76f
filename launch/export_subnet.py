"""Exports subnets of a trained supernet, checked, each with a model card beside it.

    python -m launch.export_subnet --workdir runs/c10 --subnet d2e3 --precision int8
    python -m launch.export_subnet --workdir runs/c10 --subnet d2e3k7@24
    python -m launch.export_subnet --workdir runs/c10 --front runs/c10/search/front.json
"""
from dataclasses import replace
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_folder
from deps_jax.runs.trained import TrainedRun
from deps_jax.space.candidate import parse_candidate

with needs("export"):
    from deps_jax.export.export import FORMATS, PRECISIONS, ExportSettings, export, summary, verdict
    from deps_jax.export.export_front import export_front, read_front

WORKDIR = flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
SUBNET = flags.DEFINE_string("subnet", "", "name, such as d2e3, smallest or d2e3k7@24; empty is "
                             "the one that a fine-tuned run has trained")
FRONT = flags.DEFINE_string("front", "", "front.json of a search: all its subnets")
FORMAT = flags.DEFINE_enum("format", "onnx", FORMATS, "of the file")
PRECISION = flags.DEFINE_enum("precision", "fp32", PRECISIONS, "int8 is weights only")
IMAGES = flags.DEFINE_integer("images", 0, "validation images for the check, 0 is all",
                              lower_bound=0)
CALIBRATION = flags.DEFINE_string("calibration_dir", "", "photos that give int8_static its ranges")
THREADS = flags.DEFINE_integer("threads", 1, "of onnxruntime, for the latency", lower_bound=1)
OUT = flags.DEFINE_string("out", "", "folder; empty is WORKDIR/exported")
DATA_DIR = flags.DEFINE_string("data_dir", None, "where the data lies now, if it has moved")


def main(_):
    settings = ExportSettings(FORMAT.value, PRECISION.value, None, IMAGES.value,
                              CALIBRATION.value, THREADS.value)
    points = read_front(Path(FRONT.value)) if FRONT.value else []
    if bool(points) and bool(SUBNET.value):
        raise ValueError("--subnet and --front are given; give one of them")
    folder = output_folder("out", OUT.value or str(Path(WORKDIR.value) / "exported"))
    trained = TrainedRun.open(Path(WORKDIR.value), DATA_DIR.value)
    if points:
        failures, doubts, text = export_front(trained, points, folder, settings)
        print(f"{text}\n{verdict(failures, doubts)}")
        return 1 if failures else 0
    subnet, resolution = parse_candidate(trained.space, trained.chosen(SUBNET.value))
    exported = export(trained, subnet, folder, replace(settings, resolution=resolution))
    print(summary(exported))
    return 1 if exported.failures else 0


if __name__ == "__main__":
    run(main)
