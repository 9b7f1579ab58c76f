import chex
import numpy as np
import pytest
from tiny_spaces import drawn

from deps_jax.space.families import MOBILENET_V3_CIFAR
from deps_jax.supernet.convert import convert, count_classes, fits, to_state_dict

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


@pytest.mark.parametrize("change", [
    lambda kernel: kernel[:, 0, 0, 0], lambda kernel: kernel[:, 0], lambda kernel: kernel[None],
    lambda kernel: kernel[:, 0].transpose(1, 2, 0),  # our own layout is not PyTorch's
    lambda kernel: np.repeat(kernel, 2, 1)],  # of a convolution that is not depthwise
    ids=["one axis", "three axes", "five axes", "our layout", "two inputs"])
@pytest.mark.parametrize("name", ["blocks.3.conv.depth_conv.conv.weight", "first_conv.conv.weight",
                                  "blocks.3.conv.point_linear.conv.weight"])
def test_a_tensor_of_other_axes_is_named(variables, change, name):
    state = to_state_dict(SPACE, *variables)
    state[name] = change(state[name])
    shape = str(state[name].shape)
    with pytest.raises(ValueError) as refused:
        convert(SPACE, state)
    told = str(refused.value)
    assert name in told and (shape in told or "instead of" in told) and "\n" not in told
    assert not fits(SPACE, state)
