import itertools

import cv2
import numpy as np
import pytest

from deps_jax.data.folder import folder
from deps_jax.data.images import centre_crop, random_resized_crop
from deps_jax.data.load import Data, calibration, load, squares, train_batches
from deps_jax.data.pipeline import Change, StreamedBatches
from deps_jax.data.sources import in_memory, names_of


@pytest.fixture
def pets(tmp_path):
    """Two classes of nine images of several sizes."""
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(9):
            size = (20 + 3 * i, 30, 3)
            cv2.imwrite(str(tmp_path / name / f"{i}.png"),
                        generator.integers(0, 256, size, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def test_classes_are_the_folders(pets):
    splits = folder(str(pets), validation_images=3, seed=0)
    assert splits.class_names == ("cat", "dog")
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [12, 3, 3]


def test_given_splits_are_kept(pets, tmp_path_factory):
    root = tmp_path_factory.mktemp("parted")
    for part in ("train", "val"):
        (root / part).symlink_to(pets)
    splits = folder(str(root), validation_images=0, seed=0)
    assert len(splits.train) == len(splits.test) == 18
    other = tmp_path_factory.mktemp("other")
    (other / "train").symlink_to(pets)
    for name in ("cat", "cow"):
        (other / "test" / name).mkdir(parents=True)
        cv2.imwrite(str(other / "test" / name / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="need the same class folders"):
        folder(str(other), validation_images=0, seed=0)


@pytest.mark.parametrize(("change", "message"), [
    ("missing", "does not exist"), ("empty", "holds no images"), ("one class", "one class, 'cat'")])
def test_wrong_folders_are_refused(pets, change, message, tmp_path_factory):
    root = pets
    if change == "missing":
        root = pets / "nothing"
    elif change == "empty":
        root = tmp_path_factory.mktemp("empty")
    else:
        for path in (pets / "dog").iterdir():
            path.unlink()
    with pytest.raises(ValueError, match=message):
        folder(str(root), validation_images=0, seed=0)


def test_damaged_images_are_named_and_skipped_only_if_asked(pets, capsys):
    (pets / "cat" / "zz.jpg").write_bytes(b"not a jpeg")
    (pets / "dog" / "empty.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2 of 20 images cannot be read: .*zz\.jpg"):
        folder(str(pets), validation_images=0, seed=0)
    splits = folder(str(pets), validation_images=0, seed=0, skip_unreadable=True)
    assert len(splits.train) + len(splits.test) == 18
    assert "skipping 2 of 20" in capsys.readouterr().out


def test_a_known_folder_is_not_decoded_again(pets, monkeypatch):
    data = Data("folder", dir=str(pets), resize=True, validation_images=3)
    splits = load(data, 16)
    names = {part: names_of(getattr(splits, part)) for part in ("train", "validation", "test")}
    assert sorted(itertools.chain(*names.values())) == [
        f"{name}/{i}.png" for name in ("cat", "dog") for i in range(9)]
    cv2.imwrite(str(pets / "cat" / "00.png"), np.zeros((8, 8, 3), np.uint8))
    decoded = []
    monkeypatch.setattr("deps_jax.data.folder.read_image", decoded.append)
    again = load(data, 16, names)
    assert not decoded and again.class_names == ("cat", "dog")
    assert {part: names_of(getattr(again, part)) for part in names} == names
    labels = {part: [getattr(again, part)[i]["label"] for i in range(len(names[part]))]
              for part in names}
    assert labels == {part: [int(name.startswith("dog")) for name in names[part]]
                      for part in names}
    (pets / names["test"][1]).unlink()
    with pytest.raises(ValueError, match=rf"1 images are no longer .*: {names['test'][1]}; put"):
        load(data, 16, names)


def test_an_image_that_cannot_be_read_later_is_named(pets):
    """What was whole when training began may be damaged or gone in the middle of it."""
    splits = load(Data("folder", dir=str(pets), resize=True, placement="streamed"), 16)
    path = pets / names_of(splits.train)[0]
    for damage, sentence in ((lambda: path.write_bytes(b"nothing"), "damaged or not an image"),
                             (path.unlink, "No such file")):
        damage()
        batches = StreamedBatches(splits.train, len(splits.train), 0, workers=0,
                                  change=Change(16))
        with pytest.raises(ValueError, match=f"{path} cannot be read.*{sentence}"):
            next(batches)


def test_images_of_any_size_become_squares(pets):
    data = Data("folder", dir=str(pets), resize=True, placement="streamed")
    splits = load(data, 16)
    batch = next(train_batches(data, splits.train, 4, 0, 16))
    assert batch["image"].shape == (4, 16, 16, 3)
    assert in_memory(squares(data, splits.test, 16), 16).images.shape == (3, 16, 16, 3)
    assert calibration(data, splits.train, 4, 2, 0, 16).shape == (2, 2, 16, 16, 3)
    with pytest.raises(ValueError, match=r"set space.resolution, or data\.resize"):
        load(Data("folder", dir=str(pets)), 16)


def test_crops():
    image = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)
    assert centre_crop(image, 32, 37).shape == (32, 32, 3)
    assert centre_crop(image[:3], 32, 37).shape == (32, 32, 3)
    generator = np.random.default_rng(0)
    crops = [random_resized_crop(image, 8, generator) for _ in range(5)]
    assert all(crop.shape == (8, 8, 3) for crop in crops)
    assert not np.array_equal(crops[0], crops[1])


def test_real_photos(shared):
    splits = folder(str(shared / "data" / "photos"), validation_images=10, seed=0)
    assert len(splits.class_names) == 6
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [80, 10, 30]
    assert splits.train[0]["image"].dtype == np.uint8
