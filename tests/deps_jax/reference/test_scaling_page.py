"""The pages hold what the program prints, for a run as the config of ImageNet is."""
import shutil
from pathlib import Path

import pytest

from configs.deps_imagenet import get_config
from deps_jax.reference import scaling, scaling_page
from deps_jax.reference.scaling import FULL, SANDWICH
from deps_jax.reference.scaling_page import BATCH_SIZE, PAGES, RUN, SPACE, costs, documented, tables
from deps_jax.space.cost import macs
from deps_jax.space.layers import layers
from deps_jax.space.subnet import largest
from deps_jax.training.experiment import Experiment
from deps_jax.training.phases import Plan

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_holds_what_is_printed(name):
    """Where it does not: python -m launch.scaling_plan --images_per_core N --write."""
    (found, images_per_core, body), = documented((ROOT / PAGES[name]).read_text())
    assert found == name
    assert body.strip() == {"tables": tables, "costs": costs}[name](images_per_core)


def test_both_pages_are_of_the_same_core():
    assert len({documented((ROOT / path).read_text())[0][1] for path in PAGES.values()}) == 1


def test_writing_changes_the_tables_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling_page, "tables", lambda number: f"tables with {number:g}")
    monkeypatch.setattr(scaling_page, "costs", lambda number: f"costs with {number:g}")
    with pytest.raises(ValueError, match="run this in the folder of the repository"):
        scaling_page.write(500, tmp_path)
    (tmp_path / "docs").mkdir()
    for path in PAGES.values():
        shutil.copy(ROOT / path, tmp_path / path)
    scaling_page.write(500, tmp_path)
    for name, path in PAGES.items():
        before, after = ((folder / path).read_text() for folder in (ROOT, tmp_path))
        (_, _, old), (_, number, new) = documented(before)[0], documented(after)[0]
        assert number == 500 and new.strip() == f"{name} with 500"
        assert after.replace(new, old).replace("--images_per_core 500 -->", "") == before.replace(
            f"--images_per_core {documented(before)[0][1]:g} -->", "")
    (tmp_path / PAGES["costs"]).write_text("nothing")
    with pytest.raises(ValueError, match="has not one place for costs; put"):
        scaling_page.write(500, tmp_path)


def test_the_run_is_that_of_the_config():
    experiment = Experiment.from_dict(get_config().to_dict())
    assert experiment.training.batch_size == BATCH_SIZE
    assert experiment.space.build(1000) == SPACE
    steps = (1_281_167 - experiment.data.validation_images) // BATCH_SIZE
    total = round(experiment.training.epochs * steps)
    phases = experiment.method.phases(Plan(SPACE, experiment.optimizer, total, steps))
    full = sum(phase.stop - phase.start for phase in phases if len(phase.slots) == 1)
    assert {FULL: full, SANDWICH: total - full} == RUN


def test_multiply_adds_of_a_step_are_those_that_training_counts():
    """A backward pass is two forward passes; a sandwich holds the largest network and smaller."""
    whole = macs(layers(SPACE, largest(SPACE)))
    assert scaling.macs_of(SPACE, FULL) == pytest.approx(3 * whole, rel=1e-6)
    assert 3 * whole < scaling.macs_of(SPACE, SANDWICH) < 12 * whole
    for chip in scaling.KINDS.values():
        assert any(source.startswith("peak: ") for source in chip.sources)
        for step in scaling.STEPS:
            for row in scaling.plan(chip, SPACE, step, BATCH_SIZE, 300.0, True):
                seconds = row["step_ms"] / 1e3
                assert row["of_peak"] == pytest.approx(
                    row["images"] * scaling.macs_of(SPACE, step) / seconds / chip.peak)
                assert 0 < row["of_peak"] < 1


def test_so_many_cores_would_do():
    row = scaling.plan(scaling.H100, SPACE, FULL, BATCH_SIZE, 50.0, True)[0]
    assert row["limit"] == "input" and row["cores"] > scaling.H100.cores
    enough = scaling.plan(scaling.H100, SPACE, FULL, BATCH_SIZE,
                          50.0 * row["cores"] / scaling.H100.cores * 1.001, True)[0]
    assert enough["limit"] != "input"


def test_a_run_takes_all_of_its_steps():
    hours = scaling_page.run_hours(scaling.V5E, SPACE, 300.0)
    rows = {step: {row["chips"]: row for row in scaling.plan(
        scaling.V5E, SPACE, step, BATCH_SIZE, 300.0, True)} for step in scaling.STEPS}
    assert hours[64] == pytest.approx(sum(
        RUN[step] * rows[step][64]["step_ms"] / 1000 for step in scaling.STEPS) / 3600)
    assert costs(300.0).startswith("Predicted, never run")
