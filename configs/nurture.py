"""NurtureNet (arXiv 2405.05530): weight, length, head, chest and arm of newborns from a video.

    python -m launch.train_nurture --config configs/nurture.py:demo --data DATASET --workdir runs/n

One option after the colon:
  synthetic   the default: a small ResNet at 96 px, for about a thousand rendered infants, as from
              `python -m nurture_jax.synthetic --demo --infants 1000 --out DATASET`; half an hour
              on a CPU core;
  demo        the same network for the set of `--demo` alone, in minutes on two CPU cores;
  runlocal    the same with next to nothing in it, to see it start;
  real        ResNet-50, 224 px, 25 frames: what the paper's numbers ask for. Not run by us.

The ablation switches parts off, such as `--config.model.use_video=false`,
`--config.model.segmentation=false` or `--config.model.keypoints=false`. A student of another run:

    --config.teacher.run=runs/resnet --config.backbone.kind=deps --config.backbone.width_mult=0.5
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
    config.data = parts.clips(frames=8, size=96)
    config.augment = parts.clip_augment()
    # Two of eight frames a step: frames of one clip are alike, those of more clips teach more.
    config.augment.update(frames=2, annotated_first=1.0)
    config.backbone = parts.backbone(kind="resnet", depth=10)
    config.backbone.width = 16
    config.teacher = parts.teacher()
    config.model = parts.nurture_model()
    config.model.update(neck_width=32, hidden_width=32, dropout_rate=0.5, head_stride=2)
    config.gate = parts.gate()
    config.negatives = {"share": 0.25, "leave_out": ()}  # a fifth of all clips; ours
    config.losses = {
        "regression": "huber",  # ours; the paper does not name its loss
        "huber_delta": 0.1,  # nearly the absolute error, which is what is reported
        "measures": (1.0, 0.5, 0.5, 0.5, 0.5),  # the weight comes first
        "segmentation": 0.5,
        "keypoints": 2.0,  # without them nothing has a scale
        "heatmap_cells": 1.5,  # 3 px
        "points": 0.3,
        "ends": 4.0,  # where the ruler is taken wrong, everything is
    }
    config.optimizer = parts.optimizer(
        learning_rate=6e-3, name="adamw", min_learning_rate=0.0, warmup_epochs=1.0,
        weight_decay=0.1, clip_norm=1.0)
    config.training = {"epochs": 16.0, "batch_size": 8, "eval_batch_size": 16,
                       "backbone_rate": 1.0,  # random weights need no slower backbone
                       "batch_norm": "synchronised"}  # or per_device
    config.refit = {"epochs": 200, "learning_rate": 3e-3, "weight_decay": 0.3, "batch_size": 64,
                    "noise": 1.5, "held_out_scales": True}
    config.cadence = {"log_every": 50, "checkpoint_every": 1000, "evaluate_every": 500}
    change = {"real": _real, "demo": _demo, "runlocal": _runlocal}
    change.get("".join(words), _synthetic)(config)
    return config


def _synthetic(config: ConfigDict) -> None:
    """What brought synthetic newborns on; docs/results.md, "Where the error lies". All ours."""
    config.backbone.depth = 18
    config.optimizer.update(name="muon", learning_rate=0.05, weight_decay=1e-3)
    config.augment.update(brightness=0.2, contrast=0.4, colour=0.2, saturation=0.5, hue=0.2)
    config.losses.ends = 6.0
    config.training.epochs = 32.0


def _real(config: ConfigDict) -> None:
    config.data.frames = 25  # arXiv 2405.05530: 25 frames of a video
    config.data.size = 224  # and of ResNet-50's ImageNet weights
    config.data.fit = "letterbox"  # a lying infant fills the long side of an upright recording
    config.data.workers = 8
    config.augment.update(frames=0)
    config.backbone.update(depth=50, width=64)  # arXiv 2405.05530
    config.model.update(neck_width=64, hidden_width=128, dropout_rate=0.1, dtype="bfloat16",
                        head_stride=4,  # a ruler is several cells wide
                        focal=1.5)  # 66 degrees along the side that is shown whole
    config.losses.heatmap_cells = 1.0
    config.training.update(
        epochs=60.0, batch_size=16,  # 400 frames; ours
        backbone_rate=0.1)  # for --config.backbone.init_from; ours
    config.optimizer.update(learning_rate=3e-4, weight_decay=0.01)  # ours


def _demo(config: ConfigDict) -> None:
    _synthetic(config)
    config.data.workers = 2
    config.training.epochs = 30.0  # five minutes on two cores


def _runlocal(config: ConfigDict) -> None:
    config.data.update(frames=2, size=32)
    config.augment.frames = 0
    config.backbone.update(width=4, stages=1)
    config.model.update(neck_width=8, tabular_width=4, hidden_width=8,
                        fusion_members=1,
                        in_space=False)  # seconds to compile, for points that are not there yet
    config.training.update(epochs=2.0, batch_size=2, eval_batch_size=2)
    config.refit.epochs = 2
    config.cadence = {"log_every": 1, "checkpoint_every": 100, "evaluate_every": 2}
