"""The ablation on numbers alone: every run once, a table, a figure, and nothing repeated."""
import csv
import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_estimates import make_estimates, make_visits
from make_records import write_records
from tiny_nurture_run import config_of

from nurture_jax.runs import ablation
from nurture_jax.runs.ablation import VARIANTS, Outcome, ablate, differences, table
from nurture_jax.training.experiment import Experiment


@pytest.fixture(scope="module")
def ablated(tmp_path_factory):
    data = write_records(tmp_path_factory.mktemp("data") / "set", infants=12)
    folder = tmp_path_factory.mktemp("runs") / "ablation"
    config = config_of(data)
    apart = [ablate(config, folder, seeds=(seed,), variants=["tabular only"]) for seed in (0, 1)]
    trained = ablation.experiment.train
    ablation.experiment.train = None  # collecting trains nothing
    try:
        whole = ablate(config, folder, seeds=(0, 1), variants=["tabular only"])
    finally:
        ablation.experiment.train = trained
    assert whole[:2] == [apart[0][0], apart[1][0]]
    return config, folder, whole


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
    content = json.loads((folder / "ablation.json").read_text())
    assert [run["seed"] for run in content["runs"]] == [0, 1, None, None]
    assert set(content["weight_g_minus_tabular_only"]) == {each.variant for each in outcomes[2:]}


def test_errors_of_every_test_visit_are_kept(ablated):
    _, folder, outcomes = ablated
    content = json.loads((folder / "tabular_only" / "seed_1" / ablation.ERRORS).read_text())
    assert content["visits"] == outcomes[1].visits and len(content["visits"]) == 4
    assert np.mean([row["weight_g"] for row in content["visits"]]) == pytest.approx(
        outcomes[1].mae["weight_g"])
    assert content["visits"][1]["chest_cm"] is None


def test_another_config_or_folder_is_refused(ablated):
    config, folder, _ = ablated
    other = {**config, "training": {**config["training"], "epochs": 7.0}}
    with pytest.raises(ValueError, match=r"another experiment: training.epochs is 4.0 there and 7"):
        ablate(other, folder, variants=["tabular only"])
    (folder / "config.json").rename(folder / "aside")  # as of a version that kept none
    with pytest.raises(ValueError, match=r"tabular_only/seed_0 belongs to another experiment"):
        ablate(other, folder, variants=["tabular only"])
    (folder / "aside").replace(folder / "config.json")


def test_a_run_tested_by_an_older_version_is_tested_again(ablated):
    config, folder, outcomes = ablated
    path = folder / "tabular_only" / "seed_0" / ablation.ERRORS
    content = json.loads(path.read_text())
    path.write_text(json.dumps({name: content[name] for name in content
                                if name not in ("visits", "seal")}))
    steps = sorted((path.parent / "checkpoints").iterdir())
    assert ablate(config, folder, seeds=(0,), variants=["tabular only"])[0] == outcomes[0]
    assert sorted((path.parent / "checkpoints").iterdir()) == steps


def outcome(variant, seed, weights, infants):
    """Of so many infants with one visit each."""
    visits = [{"infant_id": infant, "visit_id": "1", "weight_g": weight}
              for infant, weight in zip(infants, weights, strict=True)]
    mae = {"weight_g": np.mean([weight for weight in weights if weight is not None]),
           "length_cm": 1.0, "head_cm": 0.5, "chest_cm": np.nan}
    return Outcome(variant, seed, mae, 4.0, visits)


def test_table_has_means_spread_and_the_paired_difference():
    infants = [f"n{i:02}" for i in range(12)]
    base = np.linspace(50, 300, 12)  # infants differ far more than variants
    rows = [outcome("tabular only", seed, [*(base + shift), None], [*infants, "x"])
            for seed, shift in enumerate((-1, 0, 1))]
    gain = np.arange(12) % 3  # g
    rows += [outcome("fused", seed, [*(base - 20 + gain + shift), None], [*infants, "x"])
             for seed, shift in enumerate((2, 0, -2))]
    number = differences(rows)["fused"]
    # By seeds alone +- 4.1 (Welch), by infants +- 0.5.
    assert (number.value, number.low, number.high) == pytest.approx((-19, -23.2, -14.8), abs=0.1)
    lines = table(rows).splitlines()
    assert lines[-2] == "| tabular only | 175 ± 1 | 4.0 |  | 1.00 | 0.50 |  |  |"
    assert lines[-1] == "| fused | 156 ± 2 | 4.0 | -19 (-23 to -15) | 1.00 | 0.50 |  |  |"
    assert table(rows[3:]).splitlines()[-1] == "| fused | 156 ± 2 | 4.0 |  | 1.00 | 0.50 |  |  |"
    few = [outcome(name, 0, [100.0 * i], ["n"]) for i, name in ((1, "tabular only"), (3, "fused"))]
    assert "| 4.0 | +200 | 1.00 |" in table(few)


def strict(path):
    """What a file says to a reader that knows JSON alone: no NaN."""
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(
        f"{name} is not JSON"))


def test_a_measure_never_taken_is_null_in_every_file(tmp_path, monkeypatch):
    estimates = make_estimates(make_visits(4, 1))
    estimates = dataclasses.replace(estimates, visits=tuple(
        dataclasses.replace(visit, chest_cm=None) for visit in estimates.visits))
    monkeypatch.setattr(ablation.experiment, "train", lambda *_: {})
    monkeypatch.setattr(ablation, "estimates_on_test", lambda run: estimates)
    found = [ablation._outcome(name, 0, tmp_path / name, config_of("nowhere"))
             for name in ("tabular only", "fused")]
    assert np.isnan(found[0].mae["chest_cm"]) and found[0].mae["head_cm"] > 0
    assert strict(tmp_path / "fused" / ablation.ERRORS)["mae"]["chest_cm"] is None
    again = ablation.tested_before(tmp_path / "fused")
    np.testing.assert_equal(dataclasses.asdict(again), dataclasses.asdict(found[1]))
    ablation.write(tmp_path / "table", found)
    content = strict(tmp_path / "table" / "ablation.json")
    assert content["runs"][1]["mae"] == {**found[1].mae, "chest_cm": None}
    assert content["weight_g_minus_tabular_only"]["fused"]["low"] is None  # of four infants
    assert sorted(path.suffix for path in (tmp_path / "table").iterdir()) == [
        ".csv", ".json", ".md", ".png"]


def test_differences_need_the_same_visits():
    rows = [outcome("tabular only", 0, [1.0, 2.0], ["a", "b"]), outcome("fused", 0, [1.0], ["a"])]
    with pytest.raises(ValueError, match=r"visit b/1 was tested in some runs of 'fused' and"):
        differences(rows)


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
    with pytest.raises(ValueError, match="there are 0 variants and 3 seeds; give at least one"):
        ablate(config, "nowhere", variants=[])
