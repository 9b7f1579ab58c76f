"""DepS on ImageNet-1k (paper, Table 1): MobileNetV3 at 224 px, K = 7, 270 epochs, batch 2048.

    python -m launch.train_supernet --config configs/deps_imagenet.py --config.data.dir DIR \\
        --workdir runs/imagenet

Every number is that of the reference's command (docs/reference.md), except that it trains in
bfloat16. Not run by us; it needs accelerators. `:runlocal` is a quarter of the width, 64 px and
batch 16 of it for 10 epochs, in float32 and without the augmentation that only long runs profit
from: to see it start, or for photos of your own.

Subnets end their ramp at 99 % of the base rate, with runlocal (of 80 photos) at 63 % of the base
rate, and train at it from the next step on (`method.ramp_target_epochs`, docs/method.md).
"""
from ml_collections import ConfigDict

from configs import parts
from deps_jax.data.augment import IMAGENET_MEAN, IMAGENET_STD


def get_config(arg: str = "") -> ConfigDict:
    """`arg` holds runlocal, a method (docs/methods.md), or both, separated by a comma."""
    words, method = parts.options_and_method(arg, ("runlocal",))
    warm_up = method.startswith("deps")  # of the full model
    config = ConfigDict()
    config.seed = 8
    config.init_from = ""
    config.fit_classifier = False
    config.subnet = ""
    config.data = parts.data("imagenet2012", validation_images=10_000, resize=True,
                             placement="streamed")
    config.data.workers = 16  # up to five batches of 0.3 GB wait for each
    config.data.policy = "auto_imagenet"
    config.augment = parts.augment(
        mean=IMAGENET_MEAN, std=IMAGENET_STD, flip=True, colour=(0.4, 0.4, 0.4, 0.1),
        erase_probability=0.2)
    config.space = parts.space("mobilenet_v3")
    config.method = parts.method(method)
    if warm_up:
        config.method.update(full_model_fraction=150 / 270, ramp_epochs=5.0)
    if method == "compofa":  # MobileNetV3's kernels, of which others are cut out
        config.space.kernels = (3, 5, 7)
    config.optimizer = parts.optimizer(learning_rate=2.6)  # 0.1625 for each of 16 GPUs x 128
    config.training = parts.training(epochs=270.0, batch_size=2048, dropout_rate=0.1)
    config.training.dtype = "bfloat16"  # ours; the reference trains in float32
    config.evaluation = parts.evaluation(batch_size=500)
    config.cadence = {"log_every": 100, "checkpoint_every": 1000, "evaluate_every": 6250}
    if "runlocal" in words:
        config.data.policy = ""
        config.augment.update(colour=(0.0,) * 4, erase_probability=0.0)
        config.space.width_mult = 0.25
        config.space.resolution = 64
        config.training.batch_size = 16
        config.training.epochs = 10.0
        if warm_up:
            config.method.ramp_epochs = 1.0
        config.training.dtype = "float32"
        config.optimizer.learning_rate = 0.02
        config.data.validation_images = 10
        config.data.workers = 0
        config.evaluation.batch_size = 10
        config.evaluation.calibration_images = 40
        config.evaluation.calibration_batch_size = 20
        config.cadence = {"log_every": 5, "checkpoint_every": 100, "evaluate_every": 0}
    return config
