import chex
import numpy as np
import pytest
from tiny_spaces import drawn

from deps_jax.space.families import MOBILENET_V3_CIFAR
from deps_jax.supernet.convert import convert, count_classes, to_state_dict

SPACE = MOBILENET_V3_CIFAR.with_choices(width_mult=0.25, kernels=(3, 5, 7), kernel_transform=True)


@pytest.fixture(scope="module")
def variables():
    return drawn(SPACE)


def test_there_and_back(variables):
    state = to_state_dict(SPACE, *variables)
    assert state["blocks.3.conv.depth_conv.conv.weight"].shape == (48, 1, 7, 7)
    assert state["blocks.1.conv.depth_conv.7to5_matrix"].shape == (25, 25)
    assert count_classes(state) == 10
    chex.assert_trees_all_equal(convert(SPACE, state), variables)


def test_wrong_checkpoints_are_named(variables):
    state = to_state_dict(SPACE, *variables)
    with pytest.raises(ValueError, match="lacks 40 tensors"):
        convert(SPACE, {k: v for k, v in state.items() if "matrix" not in k})
    with pytest.raises(ValueError, match="does not know, first \\['extra'\\]"):
        convert(SPACE, {**state, "extra": np.zeros(1)})
    other = MOBILENET_V3_CIFAR.with_choices(width_mult=0.5, kernels=(3, 5, 7),
                                            kernel_transform=True)
    with pytest.raises(ValueError, match=r"needs with width_mult 0\.5: .* instead of"):
        convert(other, state)
    with pytest.raises(ValueError, match="no classifier"):
        count_classes({})
