"""NurtureNet for all phones in one training: a MobileNetV3 supernet under its heads, with DepS.

    python -m launch.train_nurture_once --config configs/nurture_once.py:demo --data DATASET \\
        --workdir runs/once
    python -m launch.nurture_subnets --workdir runs/once
    python -m launch.cut_nurture --workdir runs/once --subnet NAME --out runs/phone
    python -m launch.evaluate_nurture --workdir runs/phone

One option after the colon, see configs/nurture.py: synthetic (default), demo, runlocal; beside it
perhaps a method of docs/methods.md, `demo,bignas`.
"""
from ml_collections import ConfigDict

from configs import nurture, parts


def get_config(arg: str = "") -> ConfigDict:
    """`arg`: see above."""
    words, method = parts.options_and_method(arg, ("synthetic", "demo", "runlocal"))
    if len(words) > 1:
        raise ValueError(f"the config takes one length, not {', '.join(sorted(words))}")
    length = next(iter(words), "synthetic")
    config = nurture.get_config(length)
    del config.backbone
    # Muon, which the networks of configs/nurture.py have, brings nothing with shared weights
    # (docs/results.md, "One training for all phones"); as many epochs were not tried.
    config.optimizer.update(name="adamw", learning_rate=6e-3, weight_decay=0.1)
    config.training.epochs = {"synthetic": 16.0, "demo": 42.0, "runlocal": 2.0}[length]
    # At 96 px the largest costs 7.5 times as much as the smallest, neck and heads with it. Expand
    # ratios of FBNet (Wu et al. 2019), kernels of OFA (Cai et al. 2020); the depth of 1 is ours.
    config.space = parts.space("mobilenet_v3", width_mult=0.65, depths=(1, 2, 3, 4),
                               kernels=(3, 5, 7), expands=(1, 3, 6))
    config.model.neck_convs = "separable"  # dense ones cost as much as the backbone in the middle
    config.model.head_stride, config.losses.heatmap_cells = 4, 1.0  # the same for finer maps
    config.model.in_space = False  # its rounds take a phone longer than the smallest network
    config.method = parts.method(method)
    if method.startswith("deps"):
        config.method.update(full_model_fraction=0.5, ramp_epochs=2.0, ramp_target_epochs=0.0)
    if "runlocal" in words:
        config.space.update(width_mult=0.25, depths=(1, 2), kernels=(3,), expands=(1, 2))
        if method.startswith("deps"):
            config.method.ramp_epochs = 0.5
    return config
