"""Files of the runs of an ablation beside the networks that they are of."""
import math

import numpy as np
import pytest

pytest.importorskip("onnx", reason="ONNX is not installed (extra 'export')")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import write_records
from tiny_nurture_run import NUMBERS, run

from deps_jax.common.files import sealed
from nurture_jax.deploy.compressed import FILE, NETWORK, Row, compress, difference, table

VARIANT = "tabular only"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    data = write_records(tmp_path_factory.mktemp("data") / "set", infants=22, marks=False)
    folder = tmp_path_factory.mktemp("ablation")
    run(folder / "tabular_only" / "seed_0", data, **NUMBERS, **{
        "data.validation_fraction": 0.15, "data.calibration_fraction": 0.45,
        "data.test_fraction": 0.2})
    return folder


def test_files_are_measured_once_and_say_what_the_network_says(folder):
    (folder / "ablation.md").write_text("| the table |\n")
    rows = compress(folder, [0], VARIANT)
    assert [row.form for row in rows] == [NETWORK, "fp32", "int8"]
    network, exact, small = rows
    assert math.isnan(network.megabytes) and exact.megabytes >= small.megabytes > 0
    assert math.isnan(network.clip_ms) and exact.clip_ms > 0
    np.testing.assert_allclose(exact.mae_weight_g, network.mae_weight_g, atol=0.1)
    assert exact.coverage == network.coverage and 0 <= network.coverage <= 1
    assert len(network.visits) == len(exact.visits) > 4
    made = (folder / "tabular_only" / "seed_0" / FILE).stat().st_mtime_ns
    assert [row.mae_weight_g for row in compress(folder, [0], VARIANT)] == [
        row.mae_weight_g for row in rows]
    assert (folder / "tabular_only" / "seed_0" / FILE).stat().st_mtime_ns == made
    told = sealed.read(folder / "tabular_only" / "seed_0" / FILE, "")
    sealed.write(folder / "tabular_only" / "seed_0" / FILE, {**told, "network_sha256": "other"})
    compress(folder, [0], VARIANT)
    assert (folder / "tabular_only" / "seed_0" / FILE).stat().st_mtime_ns != made
    lines = (folder / "compressed.md").read_text().splitlines()
    assert (folder / "ablation.md").read_text().splitlines() == [
        "| the table |", "", "Files of 'tabular only':", "", *lines]
    assert len(lines) == 5 and lines[2].startswith("| network | ") and "| fp32 file |" in lines[3]
    assert len((folder / "compressed.csv").read_text().splitlines()) == 4
    with pytest.raises(ValueError, match="has no run of 'tabular only' with seed 7; train it"):
        compress(folder, [0, 7], VARIANT)


def test_pairs_are_of_the_same_visits_and_means_over_seeds():
    random, rows = np.random.default_rng(0), []
    hard = random.uniform(50, 250, 30)
    for seed in (0, 1):
        for form, more in ((NETWORK, 0.0), ("int8", 2.0)):
            errors = hard + more + 10 * seed
            visits = [{"infant_id": f"n{i // 2}", "visit_id": str(i % 2), "weight_g": float(error)}
                      for i, error in enumerate(errors)]
            size = math.nan if form == NETWORK else 0.5
            rows.append(Row(form, seed, float(errors.mean()), 0.9, size, 10 * size, visits))
    found = difference(rows, "int8")
    np.testing.assert_allclose([found.value, found.low, found.high], 2.0, atol=1e-6)
    last, mean = table(rows).splitlines()[-1], hard.mean() + 7
    assert last == f"| int8 file | {mean:.1f} | +2.00 (+2.00 to +2.00) | 90.0% | 0.50 | 5 |"
