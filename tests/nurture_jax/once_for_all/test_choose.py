"""Choosing under a limit, of networks whose errors are made up."""
from types import SimpleNamespace

import pytest
from elastic_nurture import SPACE

from deps_jax.space.subnet import largest, smallest
from deps_jax.space.subnet_text import decode, encode, reported_subnets
from nurture_jax.once_for_all import choose
from nurture_jax.once_for_all.choose import Limit, backbone_macs, best_within
from nurture_jax.once_for_all.subnets import Measured, table


def trained(measured):
    """A training whose larger networks are nearer; what is measured is listed."""
    def measure(name):
        subnet = decode(SPACE, name)
        macs = backbone_macs(SPACE, subnet)
        measured.append(name)
        return Measured(encode(SPACE, subnet), macs, 100, {"mae_weight_g": 1e9 / macs})

    return SimpleNamespace(network=SimpleNamespace(space=SPACE), names=reported_subnets(SPACE),
                           measure=measure)


@pytest.mark.parametrize("candidates", [2, 12])
def test_the_best_within_a_limit_is_near_it(candidates):
    names = []
    once = trained(names)
    most = 0.9 * backbone_macs(SPACE, largest(SPACE)) / 1e6
    found = best_within(once, Limit.of_macs(once, most), candidates)
    costs = [backbone_macs(SPACE, decode(SPACE, name)) for name in names]
    assert len(names) == len(set(names)) == candidates
    assert found.macs == max(costs) <= 1e6 * most


def test_a_limit_may_be_in_milliseconds(monkeypatch):
    monkeypatch.setattr(choose, "MOST_DRAWS", 20)
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
