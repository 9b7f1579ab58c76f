import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import parts
from deps_jax.space.block import BOTTLENECK, CONVOLUTION, CONVOLUTION_POOL, BlockForm
from deps_jax.space.families import MOBILENET_V3, MOBILENET_V3_CIFAR, SPACES
from deps_jax.space.rows import Activation, Conv, MaxPool, Shortcut, Width, make_divisible
from deps_jax.space.search_space import Stage
from deps_jax.training.experiment import SpaceSettings


def test_size_of_published_spaces():
    assert MOBILENET_V3.size() == 117**5 == 21_924_480_357
    assert MOBILENET_V3.with_choices(kernels=(3, 5, 7)).size() == 7371**5
    one = MOBILENET_V3.with_choices(depths=(4,), expands=(6,))
    assert one.size() == 1


@given(st.floats(1, 4000))
def test_make_divisible_is_a_near_multiple_of_eight(channels):
    width = make_divisible(channels)
    assert width % 8 == 0 and width >= 8
    assert width >= 0.9 * channels
    assert width <= channels + 8


def test_widths_of_the_reference():
    hidden = {72: 24, 96: 24, 120: 32, 144: 40, 336: 88, 448: 112, 960: 240}  # OFA, SEModule
    found = {sizes["middle"]: sizes["hidden"] for blocks in MOBILENET_V3.blocks
             for block in blocks for sizes in block.branches}
    assert {c: found[c] for c in hidden} == hidden
    assert [sizes["middle"] for sizes in MOBILENET_V3.blocks[4][0].branches] == [336, 448, 672]
    wide = MOBILENET_V3.with_choices(width_mult=1.2)
    assert [wide.scaled(s.width) for s in wide.stages] == [32, 48, 96, 136, 192]


@pytest.mark.parametrize(("change", "message"), [
    ({"kernels": ()}, "kernels is empty"),
    ({"depths": (2, 2)}, "repeats a value"),
    ({"kernels": (4,)}, "kernel 4"),
    ({"depths": (0,)}, "depth 0"),
    ({"expands": (0.5,)}, "expand ratio 0.5"),
    ({"num_classes": 1}, "num_classes 1"),
    ({"width_mult": 0}, "width_mult 0"),
    ({"resolution": 7}, "smaller than the total stride 8"),
    ({"kernel": (3,)}, "no field 'kernel'"),
    ({"head_activation": "swish"}, "activation 'swish'"),
])
def test_impossible_spaces_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MOBILENET_V3_CIFAR.with_choices(**change)


@pytest.mark.parametrize("lists", [{"depths": (1, 2)}, {"depths": (2,)},
                                   {"depths": (1,), "base_depth": 1}])
def test_a_pooling_is_alone_in_its_stage(lists):
    """Each of several blocks would pool, and the map be smaller than its layers say."""
    assert Stage(16, 1, "relu", depths=(1,), block=CONVOLUTION_POOL).block.pooling == 2
    with pytest.raises(ValueError, match=r"has a max pooling: .* a stage of one block"):
        Stage(16, 1, "relu", block=CONVOLUTION_POOL, **lists)


def test_shortcut_of_the_first_block_needs_equal_widths():
    with pytest.raises(ValueError, match="adds the 32 channels of the stem to the 16 of the"):
        MOBILENET_V3.with_choices(stem_width=32)
    assert MOBILENET_V3.with_choices(stem_width=32, first_residual=False).stem_width == 32
    # 40 and 44 channels differ, a fifth of them do not
    equal = MOBILENET_V3.with_choices(stem_width=40, first_width=44, width_mult=0.2)
    assert equal.first_block.in_widths == equal.first_block.out_widths == (8,)
    assert equal.first_block.residual


def test_fixed_depths_belong_to_the_space():
    last = Stage(320, 1, "relu6", False, depths=(1,))
    space = MOBILENET_V3.with_choices(stages=(*MOBILENET_V3.stages, last))
    changed = space.with_choices(depths=(2, 3), kernels=(3, 5), expands=(3, 6))
    assert [stage.depths for stage in changed.stages] == [(2, 3)] * 5 + [(1,)]
    assert {(stage.kernels, stage.expands) for stage in changed.stages} == {((3, 5), (3, 6))}
    fixed = dataclasses.replace(space, stages=(last, last))
    assert fixed.with_choices(kernels=(3,)).stages[0].depths == (1,)
    with pytest.raises(ValueError, match=r"depths \(2, 3\) are given, but every stage .* fixed"):
        fixed.with_choices(depths=(2, 3))


def test_configs_keep_the_choices_of_a_family(monkeypatch):
    stages = (Stage(24, 2, "relu", False, depths=(3, 5), kernels=(3, 9), expands=(2, 5)),
              Stage(32, 2, "relu6", True, depths=(1,), expands=(4,)))
    family = MOBILENET_V3.with_choices(name="other", stages=stages)
    monkeypatch.setitem(SPACES, "other", family)
    built = lambda **fields: SpaceSettings(**parts.space("other", **fields)).build(1000)
    assert built() == family
    assert [stage.depths for stage in built(depths=(2, 3)).stages] == [(2, 3), (1,)]


def test_stage_refuses_stride_and_width():
    with pytest.raises(ValueError, match="stride 3"):
        Stage(8, 3, "relu", False)
    with pytest.raises(ValueError, match="width -8"):
        Stage(-8, 1, "relu", False)
    with pytest.raises(ValueError, match="width 0"):
        Stage(0, 2, "relu", False)
    with pytest.raises(ValueError, match="stride 2, but no row of its block 'flat' is strided"):
        Stage(8, 2, "relu", block=BlockForm("flat", (Conv("conv", "in", "out", 3),)))
    with pytest.raises(ValueError, match=r"depth 0 in \(0, 1\) .* may be left out has width 0"):
        Stage(8, 1, "relu", depths=(0, 1))


def test_lists_of_what_a_form_has_not_are_one():
    stage = Stage(64, 2, "relu", kernels=(3, 5), expands=(0.25, 0.5), block=BOTTLENECK)
    assert (stage.kernels, stage.expands) == ((1,), (0.25, 0.5))
    assert Stage(0, 1, "relu", depths=(0, 1), block=CONVOLUTION).skippable


@pytest.mark.parametrize(("rows", "widths", "message"), [
    ((Conv("a", "in", "middle"),), (), "row 'a' has the width 'middle'; known are"),
    ((Conv("a", "in", "m"), Conv("b", "in", "out")), (Width("m", "in", 2),),
     "row 'b' reads 'in', but 'm' comes to it"),
    ((Conv("a", "in", "m"),), (Width("m", "in", 2),), "ends with the width 'm'"),
    ((Conv("a", "in", "out", 3, depthwise=True),), (), "is depthwise and reads 'in' but writes"),
    ((Conv("a", "in", "out"), Shortcut("a")), (), "no name twice"),
    ((Conv("a", "in", "out"),), (Width("m", "n", 2),), "is a multiple of 'n', which is not known"),
    ((Conv("a", "in", "out", activation="swish"),), (),
     r"row 'a' has the activation 'swish', which is unknown; use one of \('block', 'identity'"),
    ((Conv("a", "in", "out"), Activation("b", "Relu")), (), "row 'b' has the activation 'Relu'"),
    ((Conv("a", "in", "out", 2),), (), "row 'a' has the kernel 2; give an odd number .* 'kernel'"),
    ((Conv("a", "in", "out", "kernels"),), (), "row 'a' has the kernel 'kernels'; give an odd"),
    ((Conv("a", "in", "out", -3),), (), "row 'a' has the kernel -3"),
    ((Conv("a", "in", "out", 3.0),), (), "row 'a' has the kernel 3.0"),
    ((Conv("a", "in", "out"), MaxPool("p", 2)), (), "'p' has the kernel 2; give .* 1 or more$"),
    ((Conv("a", "in", "out"), MaxPool("p", 3, 0)), (), "row 'p' has the stride 0; give a whole"),
    ((Conv("a", "in", "in", "kernel", depthwise=True), Conv("b", "in", "out", "kernel")), (),
     r"rows \['a', 'b'\] have kernel='kernel', but a block chooses one kernel"),
])
def test_rows_that_do_not_meet_are_refused(rows, widths, message):
    with pytest.raises(ValueError, match=message):
        BlockForm("mine", rows, widths)


def test_choices_are_kept_sorted():
    assert Stage(8, 1, "relu", False, kernels=(7, 3)).kernels == (3, 7)
