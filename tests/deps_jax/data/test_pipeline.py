import contextlib
import dataclasses
import time
from functools import partial

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags

from deps_jax.common.loop.parallel import data_parallel, mean_over_devices
from deps_jax.data import pipeline
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


def weighed(state, batch, extra, *, axis_name):
    """A step whose result tells which image went where."""
    weights = 1 + jnp.arange(batch["label"].shape[0])
    each = batch["image"][:, 0, 0, 0] + 100.0 * batch["label"] + 1e4 * batch["example"]
    return state + mean_over_devices((each * weights).sum(), axis_name)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("placement", [ResidentBatches, partial(StreamedBatches, workers=0)],
                         ids=["resident", "streamed"])
def test_every_device_gets_its_own_share_of_the_images(placement, count, monkeypatch):
    """Resident images lie on all of them: none has to send the others their part."""
    monkeypatch.setattr(pipeline, "all_devices", lambda: jax.devices()[:count])
    function = data_parallel(weighed, devices=jax.devices()[:count])
    state = function.place(jnp.float32(0))
    batches, plain = placement(SOURCE, 4, seed=3), StreamedBatches(SOURCE, 4, seed=3, workers=0)
    for _ in range(3):
        placed, expected = batches.take(function.share), function(state, next(plain), None)
        shares = [shard.data.shape for shard in placed.shares["image"].addressable_shards]
        assert [np.prod(shape) for shape in shares] == [12 // count] * count
        function(state, placed, None)  # compiles
        with jax.transfer_guard("disallow_explicit"):
            found = function(state, placed, None)
        np.testing.assert_array_equal(found, expected)
    batches.close()
    plain.close()  # what its threads decode would be counted by another test


def test_resident_images_are_not_sent_again():
    function = data_parallel(weighed, devices=jax.local_devices())
    batches, sent = ResidentBatches(SOURCE, 4, seed=3), []

    def place(batch):
        sent.append(sum(leaf.nbytes for leaf in jax.tree.leaves(batch)))
        return function.share(batch)

    assert batches.take(place).shares["image"].nbytes == 12 and sent == [4 * 4]


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


# Height and width; the last is grey, as some of ImageNet's are.
SIZES = ((40, 60), (60, 40), (33, 33), (21, 90), (128, 96), (48, 50, 1))
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """A folder as tensorflow-datasets prepares ImageNet, of small JPEG files of many sizes.

    Every image has the colour of its class; a grey one is in the last class.
    """
    import tensorflow_datasets
    from tensorflow_datasets import features

    def made(number):
        size, label = SIZES[number % len(SIZES)], number % len(COLOURS)
        colour = COLOURS[label] if len(size) == 2 else (128,)
        pixels = np.broadcast_to(np.array(colour[::-1], np.uint8), (*size[:2], len(colour)))
        file = cv2.imencode(".jpg", np.ascontiguousarray(pixels))[1].tobytes()
        return {"file_name": f"{number}.JPEG", "image": file, "label": label}

    class Imagenet2012(tensorflow_datasets.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tensorflow_datasets.core.Version("5.1.0")

        def _info(self):
            fields = {"file_name": features.Text(),
                      "image": features.Image(encoding_format="jpeg"),
                      "label": features.ClassLabel(names=["red", "green", "blue"])}
            return tensorflow_datasets.core.DatasetInfo(
                builder=self, features=features.FeaturesDict(fields))

        def _split_generators(self, _):
            return {"train": self._generate_examples(30),
                    "validation": self._generate_examples(12)}

        def _generate_examples(self, count):
            for number in range(count):
                yield str(number), made(number)

    folder = tmp_path_factory.mktemp("prepared")
    Imagenet2012(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.long)])
def test_images_of_many_sizes_are_streamed_from_what_tfds_has_prepared(imagenet, workers):
    flags.FLAGS.mark_as_parsed()  # as launchers do: workers read them
    data = Data("imagenet2012", dir=str(imagenet), resize=True, placement="streamed",
                validation_images=6, workers=workers)
    splits = load(data, 16)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [24, 6, 12]
    shapes = {splits.train[i]["image"].shape for i in range(24)}
    assert shapes == {(*size[:2], 3) for size in SIZES}
    batches, again = (train_batches(data, splits.train, 8, 0, 16) for _ in range(2))
    seen = []
    with contextlib.closing(batches), contextlib.closing(again):
        for _ in range(3):  # an epoch
            batch, other = next(batches), next(again)
            assert batch["image"].shape == (8, 16, 16, 3) and batch["image"].dtype == np.uint8
            np.testing.assert_array_equal(batch["image"], other["image"])
            seen += batch["example"].tolist()
            for image, label in zip(batch["image"], batch["label"], strict=True):
                expected = {COLOURS[label], (128,) * 3}
                assert any(np.abs(image.astype(int) - colour).max() < 12 for colour in expected)
    assert sorted(seen) == list(range(24))
    evaluated = in_memory(squares(data, splits.validation, 16), 16)
    assert evaluated.images.shape == (6, 16, 16, 3)


def test_images_of_many_sizes_are_changed_by_the_policy_of_imagenet(imagenet):
    data = Data("imagenet2012", dir=str(imagenet), resize=True, placement="streamed",
                policy="auto_imagenet")
    train = load(data, 16).train
    plain = dataclasses.replace(data, policy="")
    both = [train_batches(each, train, 8, 0, 16) for each in (data, plain)]
    first, other = map(next, both)
    for batches in both:
        batches.close()
    np.testing.assert_array_equal(first["label"], other["label"])
    assert first["image"].shape == other["image"].shape
    assert (first["image"] != other["image"]).any()
    with pytest.raises(ValueError, match=r"set space\.resolution, or data\.resize"):
        load(dataclasses.replace(plain, resize=False), 16)
