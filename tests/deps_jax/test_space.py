import pytest
from hypothesis import given
from hypothesis import strategies as st

from deps_jax.families import MOBILENET_V3, MOBILENET_V3_CIFAR
from deps_jax.space import Stage, expanded_width, make_divisible, squeeze_width


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
    pairs = {72: 24, 96: 24, 120: 32, 144: 40, 336: 88, 448: 112, 960: 240}  # deps_reference 0
    assert {c: squeeze_width(c) for c in pairs} == pairs
    assert [expanded_width(112, e) for e in (3, 4, 6)] == [336, 448, 672]
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


def test_stage_refuses_stride_and_width():
    with pytest.raises(ValueError, match="stride 3"):
        Stage(8, 3, "relu", False)
    with pytest.raises(ValueError, match="width 0"):
        Stage(0, 1, "relu", False)


def test_choices_are_kept_sorted():
    assert Stage(8, 1, "relu", False, kernels=(7, 3)).kernels == (3, 7)
