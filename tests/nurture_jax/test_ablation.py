"""The ablation on numbers alone: every run once, a table, a figure, and nothing repeated."""
import csv

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import write_records
from test_nurture_experiment import config_of

from nurture_jax import ablation
from nurture_jax.ablation import VARIANTS, Outcome, ablate, table
from nurture_jax.experiment import Experiment


@pytest.fixture(scope="module")
def ablated(tmp_path_factory):
    data = write_records(tmp_path_factory.mktemp("data") / "set", infants=12)
    folder = tmp_path_factory.mktemp("runs") / "ablation"
    config = config_of(data)
    return config, folder, ablate(config, folder, seeds=(0, 1), variants=["tabular only"])


def test_every_seed_and_both_baselines_are_rows(ablated):
    _, folder, outcomes = ablated
    assert [(each.variant, each.seed) for each in outcomes[:2]] == [
        ("tabular only", 0), ("tabular only", 1)]
    assert outcomes[0].mae["weight_g"] != outcomes[1].mae["weight_g"]
    assert all(each.seed is None for each in outcomes[2:]) and len(outcomes) == 4
    with (folder / "ablation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["mae_weight_g"]) == pytest.approx(outcomes[0].mae["weight_g"])
    assert (folder / "ablation.png").stat().st_size > 1000
    assert (folder / "ablation.md").read_text() == table(outcomes) + "\n"


def test_a_second_call_trains_nothing(ablated, monkeypatch):
    config, folder, outcomes = ablated
    monkeypatch.setattr(ablation.experiment, "train", None)
    assert ablate(config, folder, seeds=(0, 1), variants=["tabular only"]) == outcomes


def test_table_has_means_and_spread():
    row = lambda seed, weight: Outcome("fused", seed, {
        "weight_g": weight, "length_cm": 1.0, "head_cm": 0.5, "chest_cm": np.nan}, 4.0)
    assert table([row(0, 100.0), row(1, 140.0)]).splitlines()[-1] == (
        "| fused | 120 ± 28 | 4.0 | 1.00 | 0.50 |  |")


def test_variants_are_what_their_names_say(ablated):
    config, _, _ = ablated
    for name in VARIANTS:
        model = Experiment.from_dict(ablation._changed(config, name, 0)).model
        assert model.use_video == (name != "tabular only")
        assert model.use_tabular == ("video only" not in name)
        assert model.segmentation == any(word in name for word in ("segmentation", "both"))
        assert model.keypoints == any(word in name for word in ("keypoints", "both"))
    with pytest.raises(ValueError, match="variant 'everything' is unknown; use some of"):
        ablate(config, "nowhere", variants=["everything"])
