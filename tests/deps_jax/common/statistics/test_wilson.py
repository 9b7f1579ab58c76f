"""Wilson intervals, and how a number is written with its interval."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from deps_jax.common.statistics.intervals import Number, wilson


@given(st.integers(0, 300), st.integers(1, 300))
def test_wilson_is_where_the_score_test_turns(hits, total):
    """Both ends p solve |share - p| = z sqrt(p (1 - p) / total), or are 0 and 1."""
    hits = min(hits, total)
    number = wilson(hits, total)
    z = stats.norm.ppf(0.975)
    assert 0 <= number.low <= number.value <= number.high <= 1
    for end, trivial in ((number.low, hits == 0), (number.high, hits == total)):
        assert trivial or abs(hits / total - end) == pytest.approx(
            z * np.sqrt(end * (1 - end) / total), abs=1e-9)


def test_wilson_of_a_published_share():
    """Newcombe 1998 (Statistics in Medicine 17, 857-872), Table I, method 3."""
    for hits, total, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                                   (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):
        number = wilson(hits, total)
        assert (round(number.low, 4), round(number.high, 4)) == (low, high)


def test_a_number_is_written_with_the_interval_it_has():
    known, value = Number(-0.2, -12.4, 3.0), Number(7.0)
    assert known.text("{:.0f}".format) == "-0 (-12 to 3)"
    assert known.text("{:.1f}".format, unit="g", sign=True) == "-0.2 g (-12.4 to +3.0)"
    assert known.text("{:.0f}".format, unit="g", interval="\n{} to {}") == "-0 g\n-12 to 3"
    assert value.text("{:.0f}".format) == "7" and value.text(str, unit="%", sign=True) == "+7.0 %"


def test_wilson_of_nothing_and_refusal():
    assert isinstance(wilson(0, 0), Number) and np.isnan(wilson(0, 0).value)
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)
