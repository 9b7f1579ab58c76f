"""Train, validation and test: by infant and mother, seeded, kept in a file, checked when read."""
import dataclasses
import json
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import write_records

from deps_jax.common.files import workdir
from nurture_jax import records
from nurture_jax.records import splits
from nurture_jax.records.problems import LeftOut
from nurture_jax.records.visit import Visit
from nurture_jax.records.visits import Records


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


def of_mothers(mothers):
    """Records of as many infants, n0, n1, ..., "" for those whose mother is not told."""
    return Records(Path(), tuple(Visit(f"n{i}", "0", f"{i}.mp4", mother_id=mother)
                                 for i, mother in enumerate(mothers)))


# What the package gave before there were mothers; existing runs were split like that.
@pytest.mark.parametrize("seed, fractions, expected", [
    (0, splits.FRACTIONS, {
        "train": [1, 10, 11, 12, 15, 16, 17, 18, 19, 3, 4, 5, 7, 9], "validation": [0, 14, 8],
        "test": [13, 2, 6]}),
    (7, {"train": 0.6, "validation": 0.1, "calibration": 0.15, "test": 0.15}, {
        "train": [0, 1, 10, 11, 13, 14, 16, 17, 2, 5, 7, 9], "validation": [3, 8],
        "calibration": [12, 15, 18], "test": [19, 4, 6]})])
def test_without_mothers_splits_are_what_they_were(seed, fractions, expected):
    expected = {name: [f"n{i}" for i in part] for name, part in expected.items()}
    for mothers in ([""] * 20, [f"m{i}" for i in range(20)]):  # mothers of one child each
        found = splits.content(splits.split(of_mothers(mothers), seed, fractions))
        assert list(found.items()) == list(expected.items())


def test_siblings_are_in_one_split(tmp_path):
    mothers = [f"m{i // 3}" if i < 90 else "" for i in range(200)]
    found = of_mothers(mothers)
    for seed in range(10):
        parts = splits.split(found, seed)
        placed = {infant: name for name, part in parts.items() for infant in part.infants}
        assert len(placed) == 200
        for i in range(0, 90, 3):
            assert len({placed[f"n{j}"] for j in range(i, i + 3)}) == 1
        for name, part in splits.FRACTIONS.items():
            assert abs(len(parts[name].infants) - 200 * part) <= 2 * 2
    write(splits.split(of_mothers([""] * 200), 0), tmp_path)
    with pytest.raises(ValueError, match=r"infants 'n\d+', 'n\d+', 'n\d+' have one mother_id and "
                                         r"are in splits \w+ and \w+"):
        splits.read(found, tmp_path)


def test_a_mother_known_of_one_visit_or_of_a_lost_one_is_known(tmp_path):
    """n0 and n1 are twins, told at one visit each; the only video of n1 cannot be used."""
    visits = (Visit("n0", "0", "0.mp4"), Visit("n0", "1", "1.mp4", mother_id="m"),
              *(Visit(f"n{i}", "0", f"{i}0.mp4") for i in range(2, 9)))
    found = Records(Path(), visits, (LeftOut("n1", "n1/0", "damaged", "", "m"),))
    for seed in range(8):
        parts = splits.split(found, seed, {"train": 0.5, "test": 0.5})
        assert ("n0" in parts["train"].infants) == ("n1" in parts["train"].infants)


def test_a_mother_may_have_the_id_of_an_infant():
    visits = (Visit("n0", "0", "0.mp4"), Visit("n1", "0", "1.mp4", mother_id="n0"))
    parts = [splits.split(Records(Path(), visits), seed, {"a": 0.5, "b": 0.5})
             for seed in range(3)]
    assert all(len(part.infants) == 1 for each in parts for part in each.values())


def test_one_large_family_cannot_fill_two_splits():
    with pytest.raises(ValueError, match="4 infants do not fill the splits"):
        splits.split(of_mothers(["m"] * 4), 0, {"train": 0.5, "test": 0.5})


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
