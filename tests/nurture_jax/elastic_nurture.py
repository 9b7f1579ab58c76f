"""The least of a NurtureNet whose backbone is a supernet: two stages, every axis chosen from."""
from make_batches import SCALING, SIZE, TINY_MODEL

from deps_jax.space.search_space import SearchSpace, Stage
from nurture_jax.network.model import ModelSettings
from nurture_jax.once_for_all.network import ElasticNurture

SPACE = SearchSpace(
    name="tiny", stem_width=8, stem_stride=2, first_width=0, first_residual=False,
    stages=(Stage(8, 2, "relu", depths=(1, 2), kernels=(3, 5), expands=(1, 2)),
            Stage(16, 2, "h_swish", True, depths=(1,), kernels=(3,), expands=(1, 2))),
    head_width=24, feature_width=0, num_classes=2, resolution=SIZE)


def elastic(**settings) -> ElasticNurture:
    return ElasticNurture(SPACE, ModelSettings(**{**TINY_MODEL, **settings}), SCALING)
