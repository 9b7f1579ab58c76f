"""MobileNetV3-Large spaces of OFA and DepS: ImageNet (224 px) and CIFAR (32 px).

The kernel list is (7,), as in the DepS experiments; OFA's is (3, 5, 7).
"""
import dataclasses

from deps_jax.space.search_space import SearchSpace, Stage

MOBILENET_V3 = SearchSpace(
    name="mobilenet_v3",
    stem_width=16,
    stem_stride=2,
    first_width=16,
    first_residual=True,
    stages=(
        Stage(width=24, stride=2, activation="relu", squeeze_excite=False),
        Stage(width=40, stride=2, activation="relu", squeeze_excite=True),
        Stage(width=80, stride=2, activation="h_swish", squeeze_excite=False),
        Stage(width=112, stride=1, activation="h_swish", squeeze_excite=True),
        Stage(width=160, stride=2, activation="h_swish", squeeze_excite=True),
    ),
    head_width=960,
    feature_width=1280,
    num_classes=1000,
    resolution=224,
)

# The only differences are two strides: at 32 px the stem and the first stage keep the size.
MOBILENET_V3_CIFAR = dataclasses.replace(
    MOBILENET_V3,
    name="mobilenet_v3_cifar",
    stem_stride=1,
    stages=(dataclasses.replace(MOBILENET_V3.stages[0], stride=1), *MOBILENET_V3.stages[1:]),
    num_classes=10,
    resolution=32,
)
