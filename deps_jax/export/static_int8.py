"""Static int8: weights and activations in 8 bits, ranges from calibration images.

For devices with int8 instructions; weight-only int8 (`onnx_writer`) needs no calibration and
keeps more of the accuracy. onnxruntime's quantisation does the work.
"""
from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

# Measured on a trained MobileNetV3 (docs/results.md): of the methods, the percentile keeps most.
PERCENTILE = 99.99


def quantise_statically(model: onnx.ModelProto, inputs: np.ndarray, *,
                        batch_size: int = 20) -> onnx.ModelProto:
    """The model with uint8 activations and int8 weights by output channel, in QDQ form.

    Weights take 7 of their 8 bits. On x86 processors without VNNI onnxruntime adds two products of
    uint8 and int8 in 16 bits, which saturates with all 8: the file would compute something else
    there than where it was checked (measured on a network of random weights: 33 % of the decisions
    agreed, and 83 % with 7 bits).

    Args:
      inputs: Preprocessed calibration images, [n, 3, r, r] float32.
      batch_size: Number of images that run at once.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, prepared, result = (Path(folder) / name for name in ("a.onnx", "b.onnx", "c.onnx"))
        onnx.save(model, given)
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared, result, _Batches(inputs, batch_size), quant_format=QuantFormat.QDQ,
            per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": PERCENTILE})
        return onnx.load(result)


class _Batches(CalibrationDataReader):
    def __init__(self, inputs: np.ndarray, batch_size: int) -> None:
        self._batches = iter(np.split(inputs, range(batch_size, len(inputs), batch_size)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}
