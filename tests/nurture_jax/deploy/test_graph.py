"""The whole network as one graph gives what JAX gives, for any number of clips and frames."""
from functools import partial

import jax
import numpy as np
import pytest

pytest.importorskip("onnx", reason="ONNX is not installed (extra 'export')")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
from make_file import SIZE, clips, network

from deps_jax.export.device_timer import session
from nurture_jax.deploy import graph
from nurture_jax.runs.inference import observe

INPUTS = ("frames", "tabular", "tabular_mask", "reference_cm")
CASES = [("resnet10", {}), ("resnet50", {"time_pooling": "mean", "pooling": "mean"}),
         ("mobilenet_v3", {}), ("resnet10", {"neck_convs": "separable", "head_stride": 2,
                                                                "fusion_members": 3}),
         ("resnet10", {"use_video": False, "fusion_members": 2}),
         ("resnet10", {"use_tabular": False, "predict_gain": False, "keypoints": False})]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{'-'.join(case[1])}")
def written(request):
    name, changes = request.param
    model, variables, settings = network(name, **changes)
    preprocess = settings.augment.in_use
    found = {precision: graph.write(model, variables, preprocess, SIZE, precision)
             for precision in ("fp32", "int8")}
    return found, jax.jit(partial(observe, model, variables, preprocess))


def test_as_in_jax(written):
    files, in_jax = written
    run = session(files["fp32"].SerializeToString())
    names = [output.name for output in run.get_outputs()]
    for b, t in ((1, 3), (2, 2)):
        batch = {name: clips(b, t)[name] for name in INPUTS}
        batch["reference_cm"] = np.linspace(15, 60, b, dtype=np.float32)
        expected, found = in_jax(batch=batch), dict(zip(names, run.run(None, batch), strict=True))
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name].shape == values.shape
            # Weights by which 2 g and 0.02 cm are kept, with room.
            np.testing.assert_allclose(found[name], values, rtol=2e-4, atol=2e-4, err_msg=name)


def test_int8_has_smaller_kernels_and_nearly_the_same_estimates(written):
    files, in_jax = written
    batch = {name: clips(2, 2)[name] for name in INPUTS}
    mean = session(files["int8"].SerializeToString()).run(["mean"], batch)[0]
    np.testing.assert_allclose(mean, in_jax(batch=batch)["mean"], rtol=0.05)
    convolutions = sum(node.op_type == "Conv" for node in files["fp32"].graph.node)
    expanded = sum(node.op_type == "DequantizeLinear" for node in files["int8"].graph.node)
    assert expanded == convolutions
    assert not convolutions or files["int8"].ByteSize() < files["fp32"].ByteSize()


def test_batch_norm_is_folded(written):
    for model in written[0].values():
        kinds = [node.op_type for node in model.graph.node]
        # Only distances between points have roots; with any statistics there was one a layer.
        assert "BatchNormalization" not in kinds and kinds.count("Sqrt") < 3
