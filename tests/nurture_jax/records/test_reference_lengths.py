"""Lengths of the objects beside the newborns, as a table tells them."""
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import COLUMNS, rows, write_csv, write_records

from nurture_jax import records
from nurture_jax.clips.clip_batches import tabular_of


def test_lengths_of_reference_objects(tmp_path):
    """Read, checked for other units, and 30 where none is told."""
    folder = write_records(tmp_path / "set", infants=2)
    table = rows(2)
    for row, told in zip(table, ("15", "", "8.56", "60"), strict=True):
        row["reference_cm"] = told
    write_csv(folder, table, (*COLUMNS, "reference_cm"))
    found = records.load(folder)
    assert [visit.reference_cm for visit in found.visits] == [15, None, 8.56, 60]
    assert records.assumed(found.visits) == ["reference_cm is empty in 1 visits; 30 is taken"]
    assert [float(tabular_of(visit)["reference_cm"]) for visit in found.visits] == pytest.approx(
        [15, 30, 8.56, 60])
    for told, hint in (("300", "millimetres?"), ("0.3", "metres?"), ("2", "inches?")):
        table[0]["reference_cm"] = told
        write_csv(folder, table, (*COLUMNS, "reference_cm"))
        (problem,) = records.validate(folder).problems
        assert problem.column == "reference_cm" and hint in str(problem)
