"""The text of subnets reads back in spaces of any lists, as a user may put them together."""
import dataclasses

import chex
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from other_blocks import RESNET, WIDENING

from deps_jax.space.block import BOTTLENECK, CONVOLUTION
from deps_jax.space.search_space import SearchSpace, Stage
from deps_jax.space.subnet import canonical, from_lists, largest, smallest, width_choices
from deps_jax.space.subnet_text import decode, encode, reported_subnets
from deps_jax.training.progressive import Opening

WIDTHS = st.sampled_from([(1.0,), (0.8,), (0.5, 1.0), (0.65, 0.8, 1.0)])


@st.composite
def stages(draw):
    block = draw(st.sampled_from([BOTTLENECK, CONVOLUTION, WIDENING]))
    kept = draw(st.booleans())  # width 0 keeps what comes in, and may be left out
    return Stage(0 if kept else draw(st.sampled_from([8, 16])), 1, "relu", block=block,
                 depths=draw(st.sampled_from([(0, 1), (0, 2), (1, 2)] if kept else
                                             [(1,), (1, 2), (2, 3)])),
                 kernels=draw(st.sampled_from([(3,), (3, 5)])),
                 expands=draw(st.sampled_from([(0.5,), (0.5, 1), (1, 1.5, 2)])),
                 widths=(1.0,) if kept else draw(WIDTHS),
                 base_depth=draw(st.sampled_from([0, 1])))


@st.composite
def spaces(draw):
    return SearchSpace(
        name="any", stem_width=16, stem_stride=1, stem_widths=draw(WIDTHS), first_width=0,
        first_residual=False, stages=tuple(draw(st.lists(stages(), min_size=1, max_size=3))),
        head_width=0, feature_width=0, num_classes=5, resolution=8)


@st.composite
def spaces_and_subnets(draw):
    space = draw(spaces())
    each = lambda name: [[draw(st.sampled_from(getattr(stage, name)))
                          for _ in range(stage.max_depth)] for stage in space.stages]
    widths = [draw(st.sampled_from(choices)) for choices in width_choices(space)]
    return space, canonical(from_lists(
        space, depths=[draw(st.sampled_from(stage.depths)) for stage in space.stages],
        kernels=each("kernels"), expands=each("expands"), widths=widths or None))


@settings(max_examples=150, deadline=None)
@given(spaces_and_subnets())
def test_text_reads_back_in_any_space(both):
    space, drawn = both
    for subnet in (drawn, largest(space), smallest(space)):
        found = decode(space, encode(space, subnet))
        chex.assert_trees_all_equal(jax.tree.map(np.asarray, found), subnet)
    assert all(encode(space, decode(space, name)) == name for name in reported_subnets(space))


def stem(*widths, **fields):
    return SearchSpace(**{**{name: getattr(RESNET, name) for name in RESNET.__dataclass_fields__},
                          "stem_widths": widths, **fields})


def test_widths_that_the_stem_alone_chooses():
    space = stem(0.5, 0.75, stages=(Stage(16, 1, "relu", depths=(1, 2), block=BOTTLENECK,
                                          expands=(0.5,)),))
    assert encode(space, smallest(space)) == "d1e0.5w0.5"
    assert encode(space, largest(space)) == "d2e0.5w0.75"
    assert reported_subnets(space) == ("d1e0.5w0.5", "d2e0.5w0.5", "d1e0.5w0.75", "d2e0.5w0.75")
    assert Opening("width 2", "widths", widths=2).concerns(space)  # a phase of OFA's
    fixed = dataclasses.replace(space, stem_widths=(1.0,))
    assert not Opening("width 2", "widths", widths=2).concerns(fixed)
    with pytest.raises(ValueError, match=r"width 0.6 is not in the widths \[0.5, 0.75, 1.0\]"):
        decode(space, "d1e0.5w0.6")


def test_one_width_of_the_stem_other_than_one():
    space = stem(0.8)
    for name in ("0/w0.5:b/w1.0:e0.25x2", "b/w1.0:b/w0.5:e0.25"):
        assert encode(space, decode(space, name)) == name
