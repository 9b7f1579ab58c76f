import time

import numpy as np
import pytest

from deps_jax.data.load import Data, load, squares, train_batches
from deps_jax.data.pipeline import (
    ResidentBatches,
    StreamedBatches,
    calibration_batches,
    eval_batches,
)
from deps_jax.data.sources import ArraySource, Subset, digits, in_memory, names_of, split, tfds

SOURCE = ArraySource(np.arange(10, dtype=np.uint8)[:, None, None, None].repeat(3, -1),
                     np.arange(10, dtype=np.int32))


def labels(batches, count):
    return [np.asarray(next(batches)["label"]).tolist() for _ in range(count)]


def test_both_placements_give_the_same_batches():
    resident = labels(ResidentBatches(SOURCE, 4, seed=3), 7)
    assert resident == labels(StreamedBatches(SOURCE, 4, seed=3, workers=0), 7)
    assert resident != labels(ResidentBatches(SOURCE, 4, seed=4), 7)


def test_few_images_are_decoded_ahead(monkeypatch):
    """Whole batches wait in memory: grain's own buffer would be 500 of them."""
    decoded, get = [], ArraySource.__getitem__
    monkeypatch.setattr(ArraySource, "__getitem__",
                        lambda self, index: (decoded.append(index), get(self, index))[1])
    batches = StreamedBatches(SOURCE, 5, seed=0, workers=0)
    for step in range(1, 4):
        next(batches)
        time.sleep(0.2)
        assert 5 * step <= len(decoded) <= 5 * (step + 4)
    batches.close()


def test_images_stay_with_their_labels():
    for batches in (ResidentBatches(SOURCE, 4, 0), StreamedBatches(SOURCE, 4, 0, workers=0)):
        batch = next(batches)
        np.testing.assert_array_equal(batch["image"][:, 0, 0, 0], batch["label"])
        assert batch["image"].dtype == np.uint8


def test_evaluation_pads_and_masks_the_last_batch():
    batches = list(eval_batches(SOURCE, 4))
    assert [batch["image"].shape[0] for batch in batches] == [4, 4, 4]
    mask = np.concatenate([batch["mask"] for batch in batches])
    np.testing.assert_array_equal(mask, [1] * 10 + [0] * 2)
    seen = np.concatenate([batch["label"] for batch in batches])[mask > 0]
    np.testing.assert_array_equal(seen, np.arange(10))


def test_calibration_images_are_the_same_every_time():
    first, second = (calibration_batches(SOURCE, 8, 4, seed=1) for _ in range(2))
    assert first.shape[:2] == (2, 4)
    np.testing.assert_array_equal(first, second)
    for images, batch_size in ((20, 4), (6, 4), (0, 4)):
        with pytest.raises(ValueError, match="calibration images"):
            calibration_batches(SOURCE, images, batch_size, seed=1)


def test_split_is_disjoint_and_seeded():
    rest, cut = split(SOURCE, 3, seed=0)
    assert len(rest) == 7 and len(cut) == 3
    assert not set(rest.indices) & set(cut.indices)
    assert {tuple(split(SOURCE, 3, seed=s)[1].indices) for s in range(5)} != {tuple(cut.indices)}
    with pytest.raises(ValueError, match="10 images cannot be cut from 10"):
        split(SOURCE, 10, seed=0)


def test_digits_are_real_and_cut_in_three():
    splits = digits(16, validation_images=200, seed=0)
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [1238, 200, 359]
    image = splits.train[0]["image"]
    assert image.shape == (16, 16, 3) and image.max() > 200
    assert (image[..., 0] == image[..., 2]).all()
    with pytest.raises(ValueError, match="resolution 4"):
        digits(4, 0, 0)


def test_arrays_of_another_form_are_refused():
    with pytest.raises(ValueError, match="give uint8"):
        ArraySource(np.zeros((2, 4, 4, 3)), np.zeros(2, np.int32))
    with pytest.raises(ValueError, match="one integer for each"):
        ArraySource(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="the space takes 8x8"):
        in_memory(SOURCE, 8)


def test_settings_of_a_data_set():
    with pytest.raises(ValueError, match="data set 'cifar' is unknown"):
        Data("cifar")
    with pytest.raises(ValueError, match="placement 'gpu'"):
        Data("digits", placement="gpu")
    with pytest.raises(ValueError, match="workers -1"):
        Data("digits", workers=-1)
    splits = load(Data("digits", validation_images=100, train_images=50), 16)
    assert len(splits.train) == 50 and isinstance(splits.train, Subset)


def test_train_images_may_be_all_that_are_left():
    few, every = (load(Data("digits", validation_images=100, train_images=n), 16).train
                  for n in (1337, 1338))
    assert (len(few), len(every)) == (1337, 1338)
    whole = load(Data("digits", validation_images=100), 16).train
    np.testing.assert_array_equal(every.indices, whole.indices)
    with pytest.raises(ValueError, match="1339 images cannot be cut from 1338"):
        load(Data("digits", validation_images=100, train_images=1339), 16)


def test_known_splits_are_not_drawn():
    data = Data("digits", validation_images=100, train_images=50)
    drawn = load(data, 16)
    parts = ("train", "validation", "test")
    names = {part: names_of(getattr(drawn, part)) for part in parts}
    again = load(Data("digits", seed=7), 16, names)
    for part in parts:
        assert names_of(getattr(again, part)) == names[part]
        first, second = getattr(drawn, part)[3], getattr(again, part)[3]
        np.testing.assert_array_equal(first["image"], second["image"])
        assert first["label"] == second["label"]
    with pytest.raises(ValueError, match=r"1 images are no longer in the data set: 1797; put"):
        load(data, 16, {**names, "test": [*names["test"], "1797"]})
    assert len(load(data, 16, {**names, "validation": []}).validation) == 0


@pytest.mark.parametrize("placement", ["resident", "streamed"])
def test_images_of_one_size_are_resized_as_they_are_evaluated(placement):
    generator = np.random.default_rng(0)
    source = ArraySource(generator.integers(0, 256, (10, 12, 12, 3), np.uint8),
                         np.arange(10, dtype=np.int32))
    data = Data("cifar10", resolution=12, placement=placement)
    batch = next(train_batches(data, source, 5, 0, 8))
    evaluated = in_memory(squares(data, source, 8), 8)
    assert batch["image"].shape == (5, 8, 8, 3)
    np.testing.assert_array_equal(batch["image"], evaluated.images[np.array(batch["label"])])


def test_random_crops_are_not_made_of_resident_images():
    data = Data("folder", resize=True)
    with pytest.raises(ValueError, match=r"use --config\.data\.placement=streamed"):
        train_batches(data, SOURCE, 4, 0, 1)


@pytest.mark.parametrize(("name", "folder", "message"), [
    ("cifar10", "", "TFDS_DATA_DIR"),
    ("cifar10", "nowhere", "holds no data set 'cifar10'")])
def test_data_that_is_not_there(name, folder, message, monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    with pytest.raises(ValueError, match=message):
        tfds(name, folder, 0, 0)


def test_real_cifar10_in_both_placements(shared):
    data = Data("cifar10", dir=str(shared / "data" / "tfds_small"), validation_images=500)
    splits = load(data, 32)
    assert splits.class_names[3] == "cat"
    names = {part: names_of(getattr(splits, part)) for part in ("train", "validation", "test")}
    assert names["test"][:2] == ["test/0", "test/1"] and names["train"][0].startswith("train/")
    again = load(data, 32, names)
    np.testing.assert_array_equal(again.validation[7]["image"], splits.validation[7]["image"])
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [4500, 500, 1000]
    resident, streamed = (
        train_batches(Data("cifar10", placement=placement), Subset(splits.train, np.arange(64)), 32,
                      seed=0, resolution=32)
        for placement in ("resident", "streamed"))
    for _ in range(3):
        first, second = next(resident), next(streamed)
        np.testing.assert_array_equal(first["image"], second["image"])
        np.testing.assert_array_equal(first["label"], second["label"])
    with pytest.raises(ValueError, match="an image is 32x32 px, the space takes 64x64"):
        load(data, 64)
