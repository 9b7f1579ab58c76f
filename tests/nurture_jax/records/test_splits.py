"""Train, validation and test: by infant, seeded, kept in a file and checked when it is read."""
import dataclasses
import json

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import write_records

from deps_jax.common.files import workdir
from nurture_jax import records
from nurture_jax.records import splits
from nurture_jax.records.problems import LeftOut


def write(parts, folder):
    """As a run writes them when it is begun."""
    workdir.claim(folder, {}, records={splits.FILE: splits.content(parts)})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("data") / "set")


def test_splits_are_by_infant(written, tmp_path):
    found = records.load(written)
    parts = splits.split(found, 0, {"train": 0.5, "validation": 0.25, "test": 0.25})
    assert [len(part) for part in parts.values()] == [4, 2, 2]
    infants = [{visit.infant_id for visit in part.visits} for part in parts.values()]
    assert len(set.union(*infants)) == sum(map(len, infants)) == 4
    write(parts, tmp_path)
    again = splits.read(found, tmp_path)
    assert {name: part.visits for name, part in again.items()} \
        == {name: part.visits for name, part in parts.items()}
    assert any(splits.split(found, seed, {"a": 0.5, "b": 0.5})["a"].visits != parts["train"].visits
               for seed in range(5))


def test_infants_without_a_usable_video_are_in_a_split(written, tmp_path):
    found = records.load(written)
    lost = dataclasses.replace(
        found, visits=tuple(visit for visit in found.visits if visit.infant_id != "n2"),
        left_out=tuple(LeftOut(visit.infant_id, visit.key, "truncated", "")
                       for visit in found.visits if visit.infant_id == "n2"))
    fractions = {"train": 0.5, "test": 0.5}
    whole, parts = splits.split(found, 0, fractions), splits.split(lost, 0, fractions)
    for name, part in parts.items():
        assert part.infants == whole[name].infants
        assert len(part) + len(part.left_out) == len(whole[name]) == 4
    write(parts, tmp_path)
    assert splits.read(lost, tmp_path) == parts
    assert splits.read(found, tmp_path) == whole  # its videos have been mended
    # Earlier runs have written only infants with a usable video.
    (tmp_path / "splits.json").write_text('{"train": ["n0", "n1"], "test": ["n3"]}')
    assert [len(part) for part in splits.read(lost, tmp_path).values()] == [4, 2]
    with pytest.raises(ValueError, match="infants 'n2' are in no split of"):
        splits.read(found, tmp_path)


@pytest.mark.parametrize("content, sentence", [
    ({"train": ["n0", "n1"], "test": ["n1", "n2", "n3"]}, "infant 'n1' is in splits 'train' and"),
    ({"train": ["n0", "n1", "n2"]}, "infants 'n3' are in no split of"),
    ({"train": ["n0", "n1", "n2", "n3", "n9"]}, "infants 'n9' are gone from the records"),
    ({"train": 1}, "cannot be read"),
    ([], "is not JSON with named fields"),
    (None, "splits.json does not exist; start the run anew")])
def test_splits_are_checked(written, tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "splits.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=sentence):
        splits.read(records.load(written), tmp_path)


def test_split_arguments(written):
    found = records.load(written)
    with pytest.raises(ValueError, match="do not add up to 1"):
        splits.split(found, 0, {"train": 0.5, "test": 0.4})
    with pytest.raises(ValueError, match="4 infants do not fill the splits"):
        splits.split(found, 0, {"train": 0.98, "test": 0.02})
