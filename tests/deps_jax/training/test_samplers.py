import dataclasses

import jax
import numpy as np
import pytest
from other_blocks import RESNET
from tiny_spaces import TINY

from deps_jax.space.cost import BlockTable, CostModel, macs
from deps_jax.space.subnet import largest, smallest, stack
from deps_jax.training.rates import ByComplexity, Sizes
from deps_jax.training.samplers import (
    SAMPLERS,
    Attentive,
    Compound,
    Either,
    Named,
    Opened,
    Stratified,
    Uniform,
)

KEYS = jax.random.split(jax.random.key(0), 300)


def draws(sampler, space):
    return jax.device_get(jax.jit(jax.vmap(lambda key: sampler.draw(key, space)))(KEYS))


def test_an_opened_part_is_all_that_is_drawn():
    drawn = draws(Opened(depths=1, expands=2), TINY)
    assert {tuple(row) for row in drawn.depth} == {(2, 3)}
    assert set(drawn.expand.ravel()) == {1, 2} and set(drawn.kernel.ravel()) == {0, 1}
    everything = draws(Opened(), TINY)
    assert [set(column) for column in everything.depth.T] == [{1, 2}, {1, 2, 3}]
    assert set(everything.expand.ravel()) == {0, 1, 2}


def test_widths_are_opened_too():
    widest = draws(Opened(widths=1), RESNET)
    np.testing.assert_array_equal(widest.width, np.broadcast_to(largest(RESNET).width,
                                                                widest.width.shape))
    free = draws(Opened(), RESNET)
    assert [len(set(column)) for column in free.width.T] == [2, 1, 2, 2]


def test_attentive_candidates_cost_about_the_same_and_one_is_kept():
    sampler = Attentive(bins=8, pool=2000)
    drawn = draws(sampler, TINY)
    macs = np.array([CostModel(TINY)(jax.tree.map(lambda leaf, i=i: leaf[i], drawn))["macs"]
                     for i in range(len(KEYS))])
    ends = CostModel(TINY)(stack([smallest(TINY), largest(TINY)]))["macs"]
    assert macs.shape == (300, 3) and np.ptp(macs, axis=1).max() <= (ends[1] - ends[0]) / 8
    assert np.ptp(macs[:, 0]) > (ends[1] - ends[0]) / 2  # costs are drawn from the whole range
    losses = np.array([2.0, 1.0, 3.0])
    assert (sampler.keep(losses), dataclasses.replace(sampler, best=False).keep(losses)) == (1, 2)


def test_strata_of_cost_are_drawn_alike():
    strata, table = 4, BlockTable.build(TINY, macs)
    ends = table(stack([smallest(TINY), largest(TINY)]))
    edges = np.linspace(*ends, strata + 1)
    share = lambda sampler: np.histogram(table(draws(sampler, TINY)), edges)[0] / len(KEYS)
    even, usual = share(Stratified(strata, pool=2000)), share(Uniform())
    assert np.abs(even - 1 / strata).max() < 0.09 < np.abs(usual - 1 / strata).max()


def test_one_of_two_samplers_is_drawn_from_as_often_as_asked():
    drawn = draws(Either(Named("largest"), Named("smallest"), 0.3), TINY)
    most = (drawn.depth == largest(TINY).depth).all(1)
    assert 0.2 < most.mean() < 0.4
    np.testing.assert_array_equal(drawn.expand[most][0], largest(TINY).expand)
    np.testing.assert_array_equal(drawn.expand[~most][0], smallest(TINY).expand)


def test_compound_kernels_that_a_space_has_not_are_refused():
    with pytest.raises(ValueError, match=r"kernels \(3,\) for 1 stages, space 'tiny' has 2"):
        Compound(kernels=(3,)).draw(KEYS[0], TINY.with_choices(depths=(1, 2), expands=(1, 2)))
    with pytest.raises(ValueError, match=r"takes kernel 7 in stage 1, which has \(3, 5\)"):
        Compound(kernels=(3, 7)).draw(KEYS[0], TINY.with_choices(depths=(1, 2), expands=(1, 2)))


@pytest.mark.parametrize("space", [TINY, RESNET], ids=lambda space: space.name)
def test_sizes_go_from_the_smallest_to_the_largest_by_log_macs(space):
    drawn = draws(SAMPLERS["uniform"], space)
    found = np.asarray(jax.jit(Sizes(space))(drawn))
    macs = np.log(CostModel(space)(drawn)["macs"])
    ends = np.log(CostModel(space)(stack([smallest(space), largest(space)]))["macs"])
    np.testing.assert_allclose(found, (macs - ends[0]) / (ends[1] - ends[0]), atol=1e-6)


def test_rates_by_complexity_are_those_of_the_formula():
    """lr0 (1 - t/T)^gamma, gamma = 4 for the smallest and 1/4 for the largest, linear in log C."""
    weight, t = ByComplexity(), np.linspace(0, 0.99, 5)
    for size in (0.0, 0.3, 1.0):
        gamma = 4 - 3.75 * size
        np.testing.assert_allclose(weight(t, size) * (1 - t) ** 0.25, (1 - t) ** gamma)
