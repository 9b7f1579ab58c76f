"""DepS on CIFAR-10 (paper, Figure 5): MobileNetV3 at 32 px, K = 7, 200 epochs.

    python -m launch.train_supernet --config configs/deps_cifar10.py --config.data.dir DIR \\
        --workdir runs/c10
    python -m launch.evaluate_subnets --workdir runs/c10

Options after a colon, such as `configs/deps_cifar10.py:runlocal,bignas`:
  a method   (docs/methods.md), such as bignas, or module:NAME of one of your own;
  runlocal   a quarter of the width, 20,000 images, 4.8 epochs: under half an hour on a laptop's
             CPU. Other methods run as many epochs as cost the same.

Subnets end their ramp at 98 % of the base rate, with runlocal at 39 % of the base rate, and train
at the base rate from the next step on (`method.ramp_target_epochs`, docs/method.md).
"""
from ml_collections import ConfigDict

from configs import parts


def get_config(arg: str = "") -> ConfigDict:
    """`arg`: options separated by commas, see above."""
    words, method = parts.options_and_method(arg, ("runlocal",))
    warm_up = method.startswith("deps")  # of the full model
    config = ConfigDict()
    config.seed = 8  # as all that is not said to be ours: docs/reference.md
    config.init_from = ""
    config.fit_classifier = False
    config.subnet = ""
    config.data = parts.data("cifar10", validation_images=5000)
    config.augment = parts.augment(
        mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010), flip=True, crop_padding=4)
    config.space = parts.space("mobilenet_v3_cifar")
    config.method = parts.method(method)
    if warm_up:  # full rate from epoch 100, the paper's best of 25, 50 and 75 %
        config.method.update(full_model_fraction=0.5, ramp_epochs=5.0)
    config.optimizer = parts.optimizer(learning_rate=0.1)  # peak
    if method in ("alphanet", "attentive_best", "attentive_worst"):
        config.optimizer.clip_value = 1.0  # in the configs of both
    if method == "compofa":  # MobileNetV3's kernels, of which others are cut out
        config.space.kernels = (3, 5, 7)
    config.training = parts.training(epochs=200.0, batch_size=64)
    config.evaluation = parts.evaluation(batch_size=500)
    config.cadence = {"log_every": 100, "checkpoint_every": 2000, "evaluate_every": 7000}
    if "runlocal" in words:
        config.space.width_mult = 0.25
        config.data.train_images = 20_000
        # In units of a full-model step (by MACs) a sandwich costs 2.25, so a sampled subnet 0.42,
        # and a frozen teacher 0.33: 625 + 875 * 2.25 for DepS are 1153 * 2.25 for BigNAS, 2594 for
        # the full model alone, and with 1.37 and 1.45 a step 1900 for OFA and 1789 for CompOFA.
        # AttentiveNAS chooses each of two subnets of three, by a forward pass: 3.08.
        config.training.epochs = {"plain": 8.3, "ofa": 6.08, "compofa": 5.72,
                                  "compofa_largest": 5.72, "attentive_best": 2.7,
                                  "attentive_worst": 2.7}.get(method, 4.8 if warm_up else 3.69)
        if warm_up:
            config.method.ramp_epochs = 0.4
        config.cadence = {"log_every": 25, "checkpoint_every": 250, "evaluate_every": 0}
    return config
