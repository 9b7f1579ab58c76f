"""What each group of sizes brings: columns, refusals, and a run from end to end."""
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_batches import net
from make_records import write_records
from tiny_nurture_run import config_of

from configs import nurture
from nurture_jax.network import in_space, thickness
from nurture_jax.network.model import ModelSettings
from nurture_jax.runs import size_ablation
from nurture_jax.runs.ablation import folder_of
from nurture_jax.runs.size_ablation import ALL, INPUTS, ROWS, columns, of_run, of_variant
from nurture_jax.training import experiment


@pytest.mark.parametrize("settings", [
    ModelSettings(), ModelSettings(thickness=True), ModelSettings(thickness=True, in_space=True)])
def test_every_size_belongs_to_one_group(settings):
    parts = columns(settings, 65)
    names = {"in_space": in_space.NAMES, "thickness": thickness.NAMES}
    for name, of in names.items():
        assert len(range(65)[parts[name]]) == len(of) * getattr(settings, name)
    assert sorted(i for part in parts.values() for i in range(65)[part]) == list(range(65))


def test_what_is_left_out_is_the_same_for_all():
    settings = net(thickness=True, in_space=True).settings
    seen = {"sizes": np.random.default_rng(0).normal(size=(3, 65)), "pooled": np.ones((3, 4)),
            "tabular": np.ones((3, 4)), "tabular_mask": np.ones((3, 4))}
    found = size_ablation._withheld(seen, ("thickness",), settings, table=False)
    own = columns(settings, 65)["thickness"]
    assert not found["sizes"][:, own].any() and not found["tabular_mask"].any()
    kept = np.delete(np.arange(65), np.arange(65)[own])
    np.testing.assert_array_equal(found["sizes"][:, kept], seen["sizes"][:, kept])
    assert seen["sizes"][:, own].all() and seen["tabular_mask"].all()  # as they were


@pytest.mark.long
def test_a_run_with_video_is_taken_apart(tmp_path):
    config = config_of(write_records(tmp_path / "set", infants=12), **{"model.in_space": True})
    run = tmp_path / "ablation" / folder_of("fused + both") / "seed_0"
    experiment.train(experiment.Experiment.from_dict(config), run, config)
    text = of_variant(tmp_path / "ablation", "fused + both", [0])
    assert [line.split(" | ")[0][2:] for line in text.splitlines()[2:]] == list(ROWS)
    assert (tmp_path / "ablation" / "size_ablation.md").read_text() == text + "\n"
    found = of_run(run)
    assert set(found) == {f"{row}, {kind}" for row in ROWS for kind in INPUTS}
    # Without sizes and table nothing tells one infant from another but features of the pictures.
    blind = [visit["weight_g"] for visit in found[f"no sizes at all, {INPUTS[1]}"].visits]
    assert blind != [visit["weight_g"] for visit in found[f"{ALL}, {INPUTS[1]}"].visits]
    assert of_variant(tmp_path / "ablation", "fused + both", [0]) == text  # as it was kept


@pytest.mark.parametrize("variant", ["tabular only", "video only", "fused"])
def test_a_variant_without_sizes_is_refused_before_it_is_trained(variant):
    config = nurture.get_config("runlocal").to_dict()
    for whole in ("fused + both", "fused + keypoints", "unknown"):
        size_ablation.check(config, whole)
    with pytest.raises(ValueError, match=f"'{variant}' makes no sizes out of masks and points"):
        size_ablation.check(config, variant)
