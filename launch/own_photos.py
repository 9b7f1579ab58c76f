"""Your own photos, from weights that you have to a report, in one command.

    python -m launch.own_photos --photos photos --weights runs/c10 --workdir runs/photos

The classifier is fitted first, then all layers are trained at a small rate. Run the same command
again to continue a stopped run. The folder it leaves is a run as any other.
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.runs.evaluate_run import evaluate_run
from deps_jax.runs.own_photos import RATE, Start, photos_config
from deps_jax.training import experiment

PHOTOS = flags.DEFINE_string("photos", None, "folder of class folders", required=True)
WEIGHTS = flags.DEFINE_string("weights", None, "folder of a training run, or a checkpoint of "
                              "PyTorch (.pth, .pt, .npz)", required=True)
WORKDIR = flags.DEFINE_string("workdir", None, "folder of the new run", required=True)
FAMILY = flags.DEFINE_string("family", "", "space of a checkpoint; empty: found by its shapes")
RESOLUTION = flags.DEFINE_integer("resolution", 0, "pixels; 0 is that of the weights")
EPOCHS = flags.DEFINE_float("epochs", 0.0, "of all layers; 0 is what so many photos ask for")
RATE_FLAG = flags.DEFINE_float("rate", RATE, "peak learning rate of all layers")
SEED = flags.DEFINE_integer("seed", 0, "of the order of photos and their augmentation")
FLIP = flags.DEFINE_bool("flip", True, "mirror photos; --noflip where that would change a class")
SKIP = flags.DEFINE_bool("skip_unreadable", False, "leave damaged photos out")


def main(_):
    folder = Path(WORKDIR.value)
    start = Start.of(Path(WEIGHTS.value), FAMILY.value)
    config = photos_config(
        Path(PHOTOS.value), start, resolution=RESOLUTION.value, epochs=EPOCHS.value,
        rate=RATE_FLAG.value, seed=SEED.value, flip=FLIP.value, skip_unreadable=SKIP.value)
    settings = experiment.Experiment.from_dict(config)
    print(start.carried_over(config["space"]["resolution"]), flush=True)
    experiment.train(settings, folder, config)
    print(f"{evaluate_run(folder)}\nnext, a file for a device: python -m launch.specialize "
          f"--workdir {folder} --max_macs ...")


if __name__ == "__main__":
    run(main)
