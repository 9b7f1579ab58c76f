"""Files of the networks that are meant for phones are small, whatever their weights are."""
import pytest

pytest.importorskip("onnx", reason="ONNX is not installed (extra 'export')")
pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
from make_file import random_variables

from configs import nurture
from nurture_jax.deploy import graph
from nurture_jax.network.model import NurtureNet
from nurture_jax.runs.bench import SCALING
from nurture_jax.training.experiment import Experiment, starting_backbone


@pytest.mark.parametrize(("name", "backbone", "most_megabytes"), [
    # arXiv 2405.05530 has 15 MB; the largest MobileNetV3 is the student of the real network.
    ("real", {"kind": "deps", "subnet": "largest"}, 15),
    ("demo", {}, 2)])
def test_int8_is_small(name, backbone, most_megabytes):
    config = nurture.get_config(name)
    config.data.dir = "nowhere"
    config.backbone.update(backbone)
    settings = Experiment.from_dict(config.to_dict())
    model = NurtureNet(settings.model, SCALING, starting_backbone(settings).module)
    size = settings.data.size
    written = graph.write(model, random_variables(model, size), settings.augment.in_use, size,
                          "int8")
    megabytes = written.ByteSize() / 1e6
    assert most_megabytes / 4 < megabytes <= most_megabytes
