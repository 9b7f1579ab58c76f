"""Choosing under a limit, of networks whose errors are made up."""
from types import SimpleNamespace

import numpy as np
import pytest
from elastic_nurture import SPACE
from make_batches import SIZE

from deps_jax.search.genome import Genome
from deps_jax.space.families import SPACES
from deps_jax.space.subnet import largest, smallest
from deps_jax.space.subnet_text import decode, encode, reported_subnets
from nurture_jax.once_for_all.choose import Limit, backbone_macs, best_within
from nurture_jax.once_for_all.subnets import Measured, table

PHONES = SPACES["mobilenet_v3"].with_choices(
    width_mult=0.65, depths=(1, 2, 3, 4), kernels=(3, 5, 7), expands=(1, 3, 6), resolution=96)


def trained(measured, space=SPACE):
    """A training whose larger networks are nearer; what is measured is listed."""
    def measure(name):
        subnet = decode(space, name)
        macs = backbone_macs(space, subnet)
        measured.append(name)
        return Measured(encode(space, subnet), macs, 100, {"mae_weight_g": 1e9 / macs})

    return SimpleNamespace(network=SimpleNamespace(space=space), names=reported_subnets(space),
                           measure=measure)


def measured_within(space, millions, candidates, seed=0):
    """Names of what is measured, and the share of the limit that each costs."""
    names = []
    once = trained(names, space)
    found = best_within(once, Limit.of_macs(once, millions), candidates, seed)
    costs = np.array([backbone_macs(space, decode(space, name)) for name in names]) / 1e6
    assert len(names) == len(set(names)) and found.macs == 1e6 * costs.max()
    return names, costs / min(millions, backbone_macs(space, largest(space)) / 1e6)


@pytest.mark.parametrize(("limit", "candidates"), [
    (1.02, 20), (1.3, 1), (3.0, 20), (8.0, 2), (25.0, 20)])
def test_what_is_measured_is_near_the_limit(limit, candidates):
    """The largest of these networks costs 13 times as much as the smallest."""
    millions = limit * backbone_macs(PHONES, smallest(PHONES)) / 1e6
    names, shares = measured_within(PHONES, millions, candidates)
    assert len(names) == candidates
    assert shares.min() >= 0.8 and 0.85 < shares.max() <= 1


def test_a_seed_decides_which_are_drawn():
    first, again, other = (measured_within(PHONES, 20, 10, seed)[0] for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("candidates", [2, 12])
def test_a_space_of_few_networks(candidates):
    names, shares = measured_within(SPACE, 0.9 * backbone_macs(SPACE, largest(SPACE)) / 1e6,
                                    candidates)
    assert len(names) == candidates and 0.9 < shares.max() <= 1
    names, shares = measured_within(SPACE, 1000.0, candidates)
    assert len(names) == candidates and shares.max() == 1 and encode(
        SPACE, largest(SPACE)) == names[0]


def test_all_that_are_within_are_measured_where_they_are_few(capsys):
    small = backbone_macs(SPACE, smallest(SPACE)) / 1e6
    every = Genome(SPACE, (SIZE,))
    genes = every.canonical(np.indices(every.counts).reshape(len(every.counts), -1).T)
    costs = {name: backbone_macs(SPACE, decode(SPACE, name)) / 1e6 for name in every.decode(
        genes).names(SPACE)}
    expected = {name for name, found in costs.items() if found <= 1.5 * small}
    names, _ = measured_within(SPACE, 1.5 * small, 30)
    assert set(names) == expected and 2 < len(names) < 30
    assert f"{len(names)} of 30 networks were measured; no more were found within" in (
        capsys.readouterr().out)
    measured_within(SPACE, 1.5 * small, 2)
    assert "were measured" not in capsys.readouterr().out


def test_a_limit_may_be_in_milliseconds():
    names = []
    ms = lambda subnet: 5 + backbone_macs(SPACE, subnet) / 1e5
    found = best_within(trained(names), Limit(ms, ms(smallest(SPACE)), "ms a clip"), 5)
    assert found.subnet == encode(SPACE, smallest(SPACE))
    with pytest.raises(ValueError, match=rf"no network costs 5 ms a clip or less; the nearest, "
                                         rf"{found.subnet}, costs \d+\.\d\d: raise the limit"):
        best_within(trained(names), Limit(ms, 5, "ms a clip"), 5)
    with pytest.raises(ValueError, match="a limit of 0 ms a clip is not above 0"):
        Limit(ms, 0, "ms a clip")


def test_a_table_may_have_times():
    rows = [Measured("d1e1k3", 10**6, 5000, {"mae_weight_g": 200.0, "mae_length_cm": 2.0})]
    assert "ms a clip" not in table(rows)
    head, line = table(rows, {"d1e1k3": 12.34}).splitlines()
    assert "ms a clip" in head and line.split() == ["d1e1k3", "1.00", "0.005", "12.3", "200.00",
                                                    "2.00"]
