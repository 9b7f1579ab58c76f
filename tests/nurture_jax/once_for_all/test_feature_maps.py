"""Heads find the maps of a once-for-all network under the strides of the network cut out of it."""
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from deps_jax.common.nn.operations import Mode
from deps_jax.space.families import MOBILENET_V3, RESNET50D
from deps_jax.space.subnet import largest, smallest
from deps_jax.supernet import supernet
from nurture_jax.network.backbone_weights import of_subnet

PIXELS = 64


@pytest.mark.parametrize("space", [MOBILENET_V3, RESNET50D], ids=lambda space: space.name)
@pytest.mark.parametrize("choose", [smallest, largest])
def test_maps_have_the_strides_of_the_cut_out_network(space, choose):
    """A block that pools, too, as in the stem of ResNet-D; shapes alone are computed."""
    images, key = jax.ShapeDtypeStruct((2, PIXELS, PIXELS, 3), jnp.float32), jax.random.key(0)
    params, stats = jax.eval_shape(partial(supernet.init, space=space), key)
    maps, _ = jax.eval_shape(
        lambda *args: supernet.feature_maps(space, *args, choose(space), train=False),
        params, stats, images)
    alone, _ = jax.eval_shape(
        lambda key, images: of_subnet(space, choose(space)).init_with_output(
            key, images, Mode(False)), key, images)
    assert all(map_.shape[1] * stride == PIXELS for stride, map_ in maps.items())
    assert {stride: map_.shape for stride, map_ in maps.items()} == {
        stride: map_.shape for stride, map_ in alone.items()}
    assert max(maps) == space.total_stride
