"""A data set is told from a changed one by names, sizes and numbers, and says what has changed."""
from types import SimpleNamespace

import pytest
from PIL import Image

from deps_jax.data import listing as module
from deps_jax.data.listing import check_same, listing
from deps_jax.data.load import Data, load


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """What tensorflow-datasets would say of a data set of two files in this folder."""
    builder = SimpleNamespace(
        data_dir=tmp_path, version="3.0.2", info=SimpleNamespace(splits={
            "train": SimpleNamespace(num_examples=50), "test": SimpleNamespace(num_examples=10)}))
    for part in ("train", "test"):
        (tmp_path / f"toy-{part}.array_record-00000-of-00001").write_bytes(bytes(100))
    (tmp_path / "dataset_info.json").write_text("{}")
    monkeypatch.setattr(module, "tfds_builder", lambda *_: builder)
    return builder


def of(_):
    return listing(Data("cifar10"))


def test_a_prepared_data_set_is_its_files_version_and_numbers(prepared):
    assert of(prepared) == {
        "files": {"toy-test.array_record-00000-of-00001": 100,
                  "toy-train.array_record-00000-of-00001": 100},
        "facts": {"version": "3.0.2", "examples of test": 10, "examples of train": 50}}


def test_what_has_changed_is_named(prepared):
    then = of(prepared)
    check_same(of(prepared), then, "DIR")
    prepared.version = "3.1.0"
    (prepared.data_dir / "toy-test.array_record-00000-of-00001").write_bytes(bytes(99))
    with pytest.raises(ValueError, match=r"DIR has changed since the run began: 1 file of another "
                       r"size \(toy-test.*\); version 3\.0\.2 then and 3\.1\.0 now; put it"):
        check_same(of(prepared), then, "DIR")


def test_digits_are_told_by_their_pixels(monkeypatch):
    import sklearn.datasets

    then, bunch = listing(Data("digits")), sklearn.datasets.load_digits()
    assert then["facts"]["images"] == 1797
    check_same(listing(Data("digits")), then, "digits")
    bunch.images[0, 3, 3] += 1
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda: bunch)
    with pytest.raises(ValueError, match="digits has changed since the run began: sha256 "):
        check_same(listing(Data("digits")), then, "digits")


def test_a_class_that_is_left_out_may_lie_in_one_split_alone(tmp_path):
    """All images are listed, as runs with classes have always kept them."""
    for name in ("train/ant/1.png", "train/bee/2.png", "train/cat/3.png", "val/ant/4.png",
                 "val/bee/5.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    data = Data("folder", dir=str(tmp_path), classes=("ant", "bee"))
    assert len(load(data, 8).train) == 2
    found = listing(data)
    assert set(found["files"]) == {"train/ant/1.png", "train/bee/2.png", "train/cat/3.png",
                                   "val/ant/4.png", "val/bee/5.png"}
    with pytest.raises(ValueError, match="both need the same class folders"):
        load(Data("folder", dir=str(tmp_path)), 8)
    with pytest.raises(ValueError, match=r"data folder '.*no' does not exist"):
        listing(Data("folder", dir=str(tmp_path / "no")))
