"""OFA's elastic ResNet-50D: ImageNet (224 px), and a form for 32 px, which is ours.

Beside depth and expand ratio the widths of the stem and of every stage are chosen. The stem is
three 3x3 convolutions and a max pooling; the middle one is a residual that may be left out, and has
the width of the first (half of the third's). Depths count from the least: 0, 1 or 2 more.
"""
import dataclasses

from deps_jax.space.block import BOTTLENECK, CONVOLUTION, CONVOLUTION_POOL
from deps_jax.space.search_space import SearchSpace, Stage

WIDTHS = (0.65, 0.8, 1.0)


def _bottlenecks(width: int, stride: int, base_depth: int) -> Stage:
    return Stage(width, stride, "relu", depths=(0, 1, 2), expands=(0.2, 0.25, 0.35), widths=WIDTHS,
                 base_depth=base_depth, block=BOTTLENECK)


RESNET50D = SearchSpace(
    name="resnet50d",
    stem_width=32,
    stem_stride=2,
    stem_widths=WIDTHS,
    first_width=0,
    first_residual=False,
    stages=(
        Stage(0, 1, "relu", depths=(0, 1), block=CONVOLUTION),
        Stage(64, 1, "relu", depths=(1,), widths=WIDTHS, block=CONVOLUTION_POOL),
        _bottlenecks(256, 1, 2),
        _bottlenecks(512, 2, 2),
        _bottlenecks(1024, 2, 4),
        _bottlenecks(2048, 2, 2),
    ),
    head_width=0,
    feature_width=0,
    num_classes=1000,
    resolution=224,
    stem_activation="relu",
    head_activation="relu",
)

# At 32 px the stem keeps the size and is one convolution, as in ResNets for CIFAR.
RESNET50D_CIFAR = dataclasses.replace(
    RESNET50D,
    name="resnet50d_cifar",
    stem_width=64,
    stem_stride=1,
    stages=RESNET50D.stages[2:],
    num_classes=10,
    resolution=32,
)
