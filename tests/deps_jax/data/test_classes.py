"""Some classes of a data set alone."""
import numpy as np
import pytest
from PIL import Image

from configs import deps_imagenet100
from deps_jax.data.load import Data, load
from deps_jax.data.sources import names_of


@pytest.fixture
def photos(tmp_path):
    for part, count in (("train", 4), ("val", 2)):
        for i, name in enumerate(("ant", "bee", "cat", "dog")):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for k in range(count):
                Image.new("RGB", (16, 16), (60 * i, 0, 10 * k)).save(folder / f"{k}.png")
    return tmp_path


def test_classes_of_a_folder_are_numbered_anew(photos):
    data = Data("folder", dir=str(photos), classes=("dog", "bee"))
    splits = load(data, 16)
    assert splits.class_names == ("bee", "dog") and (len(splits.train), len(splits.test)) == (8, 4)
    for source in (splits.train, splits.test):
        for name, example in zip(names_of(source), (source[i] for i in range(len(source))),
                                 strict=True):
            assert splits.class_names[example["label"]] == name.split("/")[1]
    names = {part: names_of(getattr(splits, part)) for part in ("train", "validation", "test")}
    again = load(data, 16, names)
    assert [again.train[i]["label"] for i in range(8)] == [splits.train[i]["label"]
                                                           for i in range(8)]


def test_digits_of_some_classes():
    splits = load(Data("digits", classes=("7", "1"), validation_images=20), 8)
    assert splits.class_names == ("1", "7")
    assert {splits.train[i]["label"] for i in range(len(splits.train))} == {0, 1}
    assert 300 < sum(len(s) for s in (splits.train, splits.validation, splits.test)) < 400


@pytest.mark.parametrize(("classes", "message"), [
    (("bee", "yak", "gnu"), r"2 of the 3 classes in data\.classes are not in .*: yak, gnu; it has"
                            r" 4: ant, bee, cat, \.\.\."),
    (("bee",), "must be two or more different ones"), (("bee", "bee"), "two or more different")])
def test_classes_that_are_not_there(photos, classes, message):
    with pytest.raises(ValueError, match=message):
        load(Data("folder", dir=str(photos), classes=classes), 16)
    with pytest.raises(ValueError, match=r"1 of the 2 classes in data\.classes are not in the dig"):
        load(Data("digits", classes=("7", "x")), 8)


def test_classes_of_cifar10(shared):
    folder = str(shared / "data" / "tfds_small")
    whole = load(Data("cifar10", dir=folder), 32)
    data = Data("cifar10", dir=folder, classes=("ship", "cat"), validation_images=100)
    splits = load(data, 32)
    assert splits.class_names == ("cat", "ship")
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [900, 100, 200]
    numbers = dict(zip(names_of(whole.test), range(len(whole.test)), strict=True))
    for i, name in enumerate(names_of(splits.test)[:50]):
        other = whole.test[numbers[name]]
        assert splits.class_names[splits.test[i]["label"]] == whole.class_names[other["label"]]
        np.testing.assert_array_equal(splits.test[i]["image"], other["image"])
    names = {part: names_of(getattr(splits, part)) for part in ("train", "validation", "test")}
    again = load(data, 32, names)
    assert again.train[5]["label"] == splits.train[5]["label"]
    with pytest.raises(ValueError, match=r"1 of the 2 classes in data\.classes are not in data"):
        load(Data("cifar10", dir=folder, classes=("ship", "whale")), 32)


def test_imagenet_100_has_a_hundred_classes():
    classes = deps_imagenet100.CLASSES
    assert len(set(classes)) == 100 and list(classes) == sorted(classes)
    assert all(len(name) == 9 and name[0] == "n" for name in classes)
