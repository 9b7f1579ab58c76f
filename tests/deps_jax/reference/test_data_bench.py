"""The made photographs are of the size that is told, and the whole path gives them."""
import numpy as np

from deps_jax.reference.data_bench import HEIGHT, WIDTH, cores_for, decode, measure, photographs


def test_photographs_are_like_those_of_imagenet():
    files = photographs(4).files
    assert files == photographs(4).files and len(set(files)) == 4
    assert decode(files[0]).shape == (HEIGHT, WIDTH, 3)
    assert 80e3 < np.mean([len(file) for file in files]) < 140e3


def test_every_part_of_the_path_is_measured():
    found = measure(resolution=32, batch_size=4, seconds=0.2)
    assert min(found["decoding, one core"], found["random crop, one core"],
               found["whole path, on the device"]) > 0


def test_cores_add_up():
    found = {"decoding, one core": 100.0, "random crop, one core": 300.0}
    assert cores_for(found, 750) == 10
