import chex
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deps_jax.space.families import MOBILENET_V3, MOBILENET_V3_CIFAR, RESNET50D
from deps_jax.space.subnet import (
    canonical,
    from_lists,
    largest,
    sample,
    sample_compound,
    smallest,
    stack,
    uniform,
)
from deps_jax.space.subnet_text import decode, encode

SPACE = MOBILENET_V3_CIFAR.with_choices(kernels=(3, 5, 7))
_SAMPLE = jax.jit(lambda seed: sample(jax.random.key(seed), SPACE))
_SAMPLE_RESNET = jax.jit(lambda seed: sample(jax.random.key(seed), RESNET50D))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_text_form_reads_back(seed):
    subnet = canonical(_SAMPLE(seed))
    text = encode(SPACE, subnet)
    chex.assert_trees_all_equal(decode(SPACE, text), subnet)
    assert decode(SPACE, text).is_static


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_text_form_with_widths_reads_back(seed):
    subnet = canonical(_SAMPLE_RESNET(seed))
    text = encode(RESNET50D, subnet)
    chex.assert_trees_all_equal(decode(RESNET50D, text), subnet)


def test_text_of_a_resnet():
    assert encode(RESNET50D, largest(RESNET50D)) == "d2e0.35w1.0"
    assert encode(RESNET50D, smallest(RESNET50D)) == "d0e0.2w0.65"
    some = decode(RESNET50D, "w0.65/0/w1.0:b/w0.8:e0.2x2/w0.65:e0.25x4/w1.0:e0.35x5/w0.8:e0.2x3")
    assert some.depth.tolist() == [0, 1, 2, 4, 5, 3]
    assert some.width.tolist() == [0, 0, 2, 1, 0, 2, 1]


@pytest.mark.parametrize(("text", "message"), [
    ("w0.7/0/w1:b/w1:e0.2x2/w1:e0.2x2/w1:e0.2x4/w1:e0.2x2",
     "character 1: 'w0.7' does not begin with a width of the stem"),
    ("w0.8/b/b/w1:e0.2x2/w1:e0.2x2/w1:e0.2x4/w1:e0.2x2",
     "character 8: 'b' does not begin with a width of stage 1"),
    ("w0.8/k3/w1:b/w1:e0.2x2/w1:e0.2x2/w1:e0.2x4/w1:e0.2x2",
     "character 6: 'k3' is not a block of stage 0; write b for a block"),
    ("w0.8/b/w1:b/w1:e0.2x2/w1:e0.3x2/w1:e0.2x4/w1:e0.2x2",
     r"'e0.3x2' is not a block of stage 3; write e<expand> with expand in \(0.2, 0.25"),
])
def test_errors_in_the_text_of_a_resnet(text, message):
    with pytest.raises(ValueError, match=message):
        decode(RESNET50D, text)


def test_uniform_subnets_have_short_names():
    for text in ("d2e3k3", "d4e6k7", "d3e4k5"):
        assert encode(SPACE, decode(SPACE, text)) == text
    assert encode(SPACE, largest(SPACE)) == "d4e6k7"
    assert encode(SPACE, smallest(SPACE)) == "d2e3k3"
    assert encode(MOBILENET_V3, decode(MOBILENET_V3, "d2e3")) == "d2e3k7"
    chex.assert_trees_all_equal(decode(SPACE, "largest"), largest(SPACE))


@pytest.mark.parametrize(("text", "message"), [
    ("d5e3k3", "depth 5 is not in the depths"),
    ("d2e3k4", "kernel 4"),
    ("k3e3x2", "has 1 stages"),
    ("k3e3x2/k3e3x2/k3e3x2/k3e3x2/k3e3", "character 29: stage 4 has 1 blocks"),
    ("k3e3x2/k3e3-k3e5/k3e3x2/k3e3x2/k3e3x2", "character 13: 'k3e5' is not a block of stage 1"),
    ("k3e3x2/k3e3x2/oops/k3e3x2/k3e3x2", "character 15: 'oops'"),
])
def test_errors_in_text_name_their_position(text, message):
    with pytest.raises(ValueError, match=message):
        decode(SPACE, text)


def test_lists_with_one_value_for_every_block():
    subnet = from_lists(SPACE, depths=[2, 3, 4, 2, 3], kernels=[3, 5, 7, 7] * 5,
                        expands=[3, 4, 6, 6] * 5)
    assert encode(SPACE, subnet).startswith("k3e3-k5e4/k3e3-k5e4-k7e6/")
    with pytest.raises(ValueError, match="19 kernels given for 20 blocks"):
        from_lists(SPACE, depths=[2] * 5, kernels=[3] * 19, expands=[3] * 20)
    with pytest.raises(ValueError, match="expand ratio 5"):
        from_lists(SPACE, depths=[2] * 5, kernels=[3] * 20, expands=[5] * 20)


def test_uniform_sampling_uses_every_choice():
    subnets = jax.vmap(lambda key: sample(key, SPACE))(jax.random.split(jax.random.key(0), 300))
    assert set(np.unique(subnets.depth)) == {2, 3, 4}
    assert set(np.unique(subnets.kernel)) == set(np.unique(subnets.expand)) == {0, 1, 2}
    assert abs(float(np.mean(subnets.expand)) - 1) < 0.05


def test_compound_sampling_ties_expand_ratio_to_depth():
    keys = jax.random.split(jax.random.key(0), 100)
    subnets = jax.vmap(lambda key: sample_compound(key, SPACE))(keys)
    np.testing.assert_array_equal(subnets.expand[..., 0], subnets.depth - 2)
    assert (np.asarray(subnets.kernel) == 2).all()
    assert len({tuple(row) for row in np.asarray(subnets.depth)}) > 50
    with pytest.raises(ValueError, match="give lists of one length"):
        sample_compound(keys[0], SPACE.with_choices(depths=(2, 4)))


def test_stack_adds_a_leading_axis():
    stacked = stack([largest(SPACE), uniform(SPACE, depth=2, expand=3)])
    chex.assert_shape(stacked.kernel, (2, 5, 4))
    assert stacked.is_static
