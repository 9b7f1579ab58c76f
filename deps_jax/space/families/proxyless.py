"""ProxylessNAS space of OFA and DepS: MobileNetV2's blocks in six stages, ImageNet (224 px).

The kernel list is (7,), as in DepS's experiments; OFA's is (3, 5, 7), with width_mult=1.3. The last
stage has one block in every subnet. DepS trains with norm_epsilon 1e-5, OFA with 1e-3.
"""
import dataclasses

from deps_jax.space.search_space import SearchSpace, Stage


def _stages(widths: tuple[int, ...]) -> tuple[Stage, ...]:
    strides, depths = (2, 2, 2, 1, 2, 1), ((2, 3, 4),) * 5 + ((1,),)
    return tuple(Stage(width, stride, "relu6", depths=depth)
                 for width, stride, depth in zip(widths, strides, depths, strict=True))


PROXYLESS = SearchSpace(
    name="proxyless",
    stem_width=32,
    stem_stride=2,
    first_width=16,
    first_residual=False,
    stages=_stages((24, 40, 80, 96, 192, 320)),
    head_width=1280,
    feature_width=0,
    num_classes=1000,
    resolution=224,
    stem_activation="relu6",
    first_activation="relu6",
    head_activation="relu6",
)

# The widths of MobileNetV2 ("google" in OFA's code).
PROXYLESS_GOOGLE = dataclasses.replace(
    PROXYLESS, name="proxyless_google", stages=_stages((24, 32, 64, 96, 160, 320)))
