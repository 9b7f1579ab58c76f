"""MACs and parameters of networks that others have measured."""
import ast
import csv
import json

import pytest

from deps_jax.space.cost import CostModel
from deps_jax.space.families import MOBILENET_V3, RESNET50D
from deps_jax.space.families.net_config import from_net_config
from deps_jax.space.ofa import from_ofa
from deps_jax.space.subnet import stack


def test_every_row_of_measured_subnets(shared):
    """2 373 subnets of OFA-MobileNetV3, measured for DyNAS-T."""
    space, rows = MOBILENET_V3.with_choices(kernels=(3, 5, 7)), []
    for file in sorted((shared / "data" / "ofa_imagenet").glob("*.csv")):
        with open(file, newline="") as lines:
            rows += csv.DictReader(lines)
    assert len(rows) > 1000
    costs = CostModel(space)(stack([
        from_ofa(space, ast.literal_eval(row["Sub-network"])) for row in rows]))
    assert costs["macs"].tolist() == [float(row["MACs"]) for row in rows]
    assert costs["params"].tolist() == [float(row["Model Parameters"]) for row in rows]


# The files do not hold the image size; of OFA's 25 sizes only these give the published MACs.
@pytest.mark.parametrize(("name", "resolution", "million_macs", "million_params"), [
    ("pixel1_lat@20ms", 152, 76.7, 4.30), ("pixel1_lat@40ms", 172, 162.3, 6.02),
    ("pixel1_lat@79ms", 224, 355.5, 8.17), ("v100_gpu64@9ms", 188, 312.8, 5.19)])
def test_specialised_networks(shared, name, resolution, million_macs, million_params):
    (path,) = (shared / "data" / "ofa_specialized").glob(f"{name}_*.json")
    space, subnet = from_net_config(json.loads(path.read_text()))
    costs = CostModel(space, resolution=resolution)(stack([subnet]))
    assert round(costs["params"][0] / 1e6, 2) == million_params
    assert round(costs["macs"][0] / 1e6, 1) == million_macs


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match=r"is a 'VGG'; known are \('MobileNetV3', "):
        from_net_config({"name": "VGG"})


@pytest.mark.parametrize(("space", "settings", "sentence"), [
    (MOBILENET_V3, {"ks": [3] * 19, "e": [4] * 20}, "ks holds 19 values, space .* takes 20; give"),
    (MOBILENET_V3, {"ks": [3] * 20, "e": []}, "e holds 0 values, space .* takes 20; give one for"),
    (RESNET50D, {"e": [0.25] * 18, "w": [0] * 2}, "w holds 2 values, space .* takes 6; give one"),
    (RESNET50D, {"e": [0.25] * 18, "w": [0, 0, 0, 0, 0, 9]}, "w holds 9, which is no position in"),
], ids=["ks", "e", "w", "position"])
def test_lists_that_are_too_short_are_refused(space, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        from_ofa(space, {"d": [2] * 5, **settings})
