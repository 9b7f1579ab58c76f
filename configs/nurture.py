"""NurtureNet (arXiv 2405.05530): weight, length, head and chest of newborns from a video.

    python -m launch.train_nurture --config configs/nurture.py:demo --data DATASET --workdir runs/n

One option after the colon:
  synthetic   the default: ResNet-18 at 128 px, for a few thousand synthetic visits on a GPU;
  demo        a small ResNet at 96 px: minutes on two CPU cores, for 1200 short visits, as from
              `python -m nurture_jax.synthetic --demo --infants 600 --out DATASET`;
  runlocal    the same with next to nothing in it, to see it start;
  real        ResNet-50, 224 px, 25 frames: what the paper's numbers ask for. Not run by us.

The ablation switches parts off, such as `--config.model.use_video=false`,
`--config.model.segmentation=false` or `--config.model.keypoints=false`.
"""
from ml_collections import ConfigDict

from configs import parts


def get_config(arg: str = "") -> ConfigDict:
    """`arg`: one option, see above."""
    words = parts.options(arg, ("synthetic", "demo", "runlocal", "real"))
    if len(words) > 1:
        raise ValueError(f"the config takes one option, not {', '.join(sorted(words))}")
    config = ConfigDict()
    config.seed = 0
    config.data = parts.clips(frames=8, size=128)
    config.augment = parts.clip_augment()
    config.backbone = parts.backbone(kind="resnet", depth=18)
    config.model = parts.nurture_model()
    config.gate = parts.gate()
    config.losses = {
        "regression": "huber",  # ours; the paper does not name its loss
        "huber_delta": 0.1,  # nearly the absolute error, which is what is reported
        "measures": (1.0, 0.5, 0.5, 0.5),  # the weight comes first
        "segmentation": 0.5,
        "keypoints": 2.0,  # without them nothing has a scale
        "heatmap_cells": 1.0,
    }
    config.optimizer = parts.optimizer(
        learning_rate=1e-3, name="adamw", min_learning_rate=0.0, warmup_epochs=1.0,
        weight_decay=0.01, clip_norm=1.0)
    config.training = {"epochs": 60.0, "batch_size": 16, "eval_batch_size": 16,
                       "backbone_rate": 1.0}  # random weights need no slower backbone
    config.cadence = {"log_every": 20, "checkpoint_every": 500, "evaluate_every": 250}
    change = {"real": _real, "demo": _demo, "runlocal": _runlocal}
    change.get("".join(words), lambda config: None)(config)
    return config


def _real(config: ConfigDict) -> None:
    config.data.frames = 25  # arXiv 2405.05530: 25 frames of a video
    config.data.size = 224  # and of ResNet-50's ImageNet weights
    config.data.fit = "letterbox"  # a lying infant fills the long side of an upright recording
    config.backbone.depth = 50  # arXiv 2405.05530
    config.training.batch_size = 16  # 400 frames; ours
    config.training.backbone_rate = 0.1  # for --config.backbone.init_from; ours
    config.optimizer.learning_rate = 3e-4  # ours
    config.model.dtype = "bfloat16"
    config.data.workers = 8


def _demo(config: ConfigDict) -> None:
    config.data.update(frames=4, size=96, workers=2)
    config.backbone.update(depth=10, width=16)
    config.model.update(neck_width=32, hidden_width=32, dropout_rate=0.5)
    config.training.update(epochs=30.0, batch_size=16)
    config.optimizer.update(learning_rate=2e-3, weight_decay=0.1)
    config.cadence = {"log_every": 20, "checkpoint_every": 250, "evaluate_every": 250}


def _runlocal(config: ConfigDict) -> None:
    _demo(config)
    config.data.update(frames=2, size=32, workers=0)
    config.backbone.update(width=4, stages=1)
    config.model.update(neck_width=8, tabular_width=4, hidden_width=8)
    config.training.update(epochs=2.0, batch_size=2, eval_batch_size=2)
    config.cadence = {"log_every": 1, "checkpoint_every": 100, "evaluate_every": 2}
