"""A run that has trained the full model alone offers nothing else."""
import pytest
from tiny_run import tiny_config
from tiny_spaces import save_run

from deps_jax.runs.trained import TrainedRun
from deps_jax.space.subnet_text import decode


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "plain"
    save_run(folder, tiny_config(**{"method": {"name": "plain"}}))
    return TrainedRun.open(folder)


def test_its_subnets_are_refused_and_its_full_model_is_not(plain):
    plain.check_trained(decode(plain.space, "largest"))
    assert plain.chosen("") == "largest"
    for subnet, asked in ((None, "the space"), (decode(plain.space, "d1e1"), "d1e1k3")):
        with pytest.raises(ValueError, match=f"has trained d2e2k3 alone, not {asked}; use a run"):
            plain.check_trained(subnet)


def test_it_cannot_be_searched(plain):
    pytest.importorskip("pymoo", reason="needs the extra export")
    from deps_jax.search.search_run import SearchSettings
    with pytest.raises(ValueError, match="alone, not the space; use a run that trains subnets"):
        SearchSettings().genome(plain)
