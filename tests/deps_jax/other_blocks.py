"""Spaces of other blocks than the inverted residual: a small ResNet-D, and a form made up here."""
from deps_jax.space.block import BOTTLENECK, CONVOLUTION, CONVOLUTION_POOL, BlockForm
from deps_jax.space.rows import Conv, Gate, Shortcut, Width
from deps_jax.space.search_space import SearchSpace, Stage

RESNET = SearchSpace(
    name="small_resnet", stem_width=16, stem_stride=1, stem_widths=(0.5, 1.0), first_width=0,
    first_residual=False,
    stages=(Stage(0, 1, "relu", depths=(0, 1), block=CONVOLUTION),
            Stage(16, 1, "relu", depths=(1,), widths=(0.5, 1.0), block=CONVOLUTION_POOL),
            Stage(32, 2, "relu", depths=(0, 1), expands=(0.25, 0.5), widths=(0.5, 1.0),
                  base_depth=1, block=BOTTLENECK)),
    head_width=0, feature_width=0, num_classes=5, resolution=13, stem_activation="relu")
# A widening depthwise block, as a user would write it: the kernel is chosen before the expansion.
WIDENING = BlockForm(
    "widening",
    rows=(Conv("spatial", "in", "in", "kernel", depthwise=True, strided=True),
          Conv("expand", "in", "middle"),
          Gate("gate", "middle", "hidden"),
          Conv("narrow", "middle", "out", activation="identity"),
          Shortcut()),
    widths=(Width("middle", "out", "expand"), Width("hidden", "middle", 1 / 4)))
OWN = SearchSpace(
    name="own", stem_width=8, stem_stride=2, first_width=0, first_residual=False,
    stages=(Stage(16, 1, "h_swish", True, depths=(1, 2, 3), kernels=(3, 5), expands=(1, 2, 3),
                  block=WIDENING),),
    head_width=24, feature_width=0, num_classes=5, resolution=12, kernel_transform=True)
