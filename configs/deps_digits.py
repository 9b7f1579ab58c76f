"""A supernet on scikit-learn's handwritten digits: minutes on two CPU cores, nothing to download.

    python -m launch.train_supernet --config configs/deps_digits.py --workdir runs/demo

The space is the CIFAR one at a quarter of its width and 16 px, with kernels of 3 and 5: small, but
with every part of the method in it. Not a benchmark.

Subnets end their ramp at 82 % of the base rate and train at the base rate from the next step on
(`method.ramp_target_epochs`, docs/method.md).

Options after a colon, separated by commas:
  a method (docs/methods.md), such as bignas, or module:NAME of one of your own;
  tiny   an eighth of the width at 8 px, 100 images, 30 steps, saved after every one: for
         `launch.kill_test`.
"""
from ml_collections import ConfigDict

from configs import parts


def get_config(arg: str = "") -> ConfigDict:
    """See above for the options."""
    words, method = parts.options_and_method(arg, ("tiny",))
    warm_up = method.startswith("deps")  # of the full model
    config = ConfigDict()
    config.seed = 0
    config.init_from = ""
    config.fit_classifier = False
    config.subnet = ""
    config.data = parts.data("digits", validation_images=238)
    # Grey images; digits must not be mirrored.
    config.augment = parts.augment(mean=(0.31,) * 3, std=(0.36,) * 3, crop_padding=2)
    config.space = parts.space("mobilenet_v3_cifar", width_mult=0.25, resolution=16,
                               kernels=(3, 5))
    config.method = parts.method(method)
    if warm_up:
        config.method.ramp_epochs = 2.0
    config.optimizer = parts.optimizer(learning_rate=0.1)
    config.training = parts.training(epochs=20.0, batch_size=50)
    config.evaluation = parts.evaluation(batch_size=120, calibration_images=600)
    config.cadence = {"log_every": 20, "checkpoint_every": 200, "evaluate_every": 100}
    if "tiny" in words:
        config.space.update(width_mult=0.125, resolution=8, kernels=(3,), depths=(1,),
                            expands=(1, 2))
        config.data.update(train_images=100, validation_images=40)
        if warm_up:
            config.method.ramp_epochs = 1.0
        config.training.update(epochs=6.0, batch_size=20)  # 30 steps
        config.evaluation.update(batch_size=40, calibration_images=20, calibration_batch_size=20)
        config.cadence = {"log_every": 10, "checkpoint_every": 1, "evaluate_every": 4}
    return config
