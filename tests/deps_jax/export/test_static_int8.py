"""Quantisation by calibration images: the percentile counts, logging stays as it is."""
import logging

import numpy as np
import pytest
from tiny_spaces import TINY

from deps_jax.space.layers import layers
from deps_jax.space.subnet import smallest
from deps_jax.supernet.network import random_weights

pytest.importorskip("onnxruntime", reason="needs the extra export")
from deps_jax.export import onnx_writer, static_int8


@pytest.fixture(scope="module")
def model():
    network = layers(TINY, smallest(TINY))
    return onnx_writer.write(network, random_weights(network))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).standard_normal((20, 3, 9, 9), np.float32)


def test_the_percentile_counts(model, images, monkeypatch):
    found = static_int8.quantise_statically(model, images)
    monkeypatch.setattr(static_int8, "PERCENTILE", 60.0)
    clipped = static_int8.quantise_statically(model, images)
    assert _scale_of_images(clipped) < 0.5 * _scale_of_images(found)


def test_two_products_fit_into_16_bits(model, images):
    """255 * (w1 + w2) must: processors without VNNI add two products before they widen them."""
    weights = [onnx_writer.numpy_helper.to_array(tensor)
               for tensor in static_int8.quantise_statically(model, images).graph.initializer]
    largest = [np.abs(array.astype(int)).max() for array in weights
               if array.dtype == np.int8 and array.ndim > 1]
    assert largest and 255 * 2 * max(largest) <= np.iinfo(np.int16).max


def test_others_are_heard_and_onnxruntime_is_silent(model, images, monkeypatch, caplog):
    prepare = static_int8.quant_pre_process

    def prepare_and_warn(*arguments, **options):
        logging.getLogger("somebody.else").warning("the disk is nearly full")
        return prepare(*arguments, **options)

    monkeypatch.setattr(static_int8, "quant_pre_process", prepare_and_warn)
    static_int8.quantise_statically(model, images)
    assert [record.message for record in caplog.records
            if record.levelno >= logging.WARNING] == ["the disk is nearly full"]


def _scale_of_images(quantised) -> float:
    scales = {tensor.name: onnx_writer.numpy_helper.to_array(tensor)
              for tensor in quantised.graph.initializer}
    return float(scales["image_scale"])
