"""A small network in a file for tests of the page: it finds a newborn where it is reddish."""
import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import onnx
from newborn_points import PLACES, newborn_points
from onnx import TensorProto, helper, numpy_helper

from deps_jax.common.files import sealed
from nurture_jax.clinic.checks import Limits
from nurture_jax.clinic.scale import Scale, measure
from nurture_jax.deploy.file_model import KIND, VERSION
from nurture_jax.evaluation.intervals import Intervals
from nurture_jax.growth import who_by_age
from nurture_jax.measures import DEFAULT_REFERENCE_CM, LABELS, MEASURES, TABULAR
from nurture_jax.rules import TABLE

FRAMES, SIZE, CELLS = 6, 96, 24
CLIP = {"frames": FRAMES, "size": SIZE, "fit": "crop", "minimum_s": 1.0}
BASE = (2600.0, 48.0, 33.0, 31.5, 10.0)  # estimates of black pictures without any inputs
GIVEN, WITHHELD = "birth weight given", "birth weight not given"


def intervals(measures=LABELS) -> Intervals:
    factors = {name: {"all": 1.5, "each kilogram below 3 kg": 1.2} for name in measures}
    wider = {name: {"all": 2.0} for name in measures}
    return Intervals(0.9, {}, {GIVEN: factors, WITHHELD: wider},
                     {GIVEN: {"weight_g": 400.0}, WITHHELD: {"weight_g": 560.0}}, {"sex": 40})


def write_model(path: Path, measures=LABELS, lengths=(DEFAULT_REFERENCE_CM,), lost=()) -> Path:
    """An .onnx file with its card beside it, of some of LABELS and lengths of rulers in cm.

    Args:
      lost: Those of `measures` that come out as no number.
    """
    path.write_bytes(graph([name for name in measures if name not in lost]).SerializeToString())
    limits = dataclasses.asdict(dataclasses.replace(Limits(), least_sharpness=0.0))
    sealed.write(path.with_suffix(".json"), {
        "kind": KIND, "card_version": VERSION,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "clip": CLIP,
        "reference_cm": list(lengths), "tabular": list(TABULAR), "rules": TABLE,
        "measures": {name: MEASURES[name].unit for name in measures},
        "who": {"tables": who_by_age.tables(60)},
        "versions": {"package": "0"}, "session_options": {}, "calibration": {
            "intervals": dataclasses.asdict(intervals(measures)), "limits": limits,
            "familiarity": None, "scale": dataclasses.asdict(scale(lengths))}})
    return path


def scale(lengths=(DEFAULT_REFERENCE_CM,)) -> Scale:
    """One by which the ruler of the tiny network's newborn looks 30 cm long, within a tenth."""
    spans = measure(newborn_points(1, SIZE), seen_shares()[0], SIZE)
    weight = 1 / (len(spans) - 1)  # the width tells nothing
    return Scale(tuple(lengths), tuple((float(each), *[0.0] * 7) for each in spans),
                 (*[weight] * (len(spans) - 1), 0.0), 0.1)


def seen_shares() -> np.ndarray:
    """A newborn in the middle of every picture and a ruler beside it, [1, 1, CELLS, CELLS, 3]."""
    shares = np.zeros((1, 1, CELLS, CELLS, 3), np.float32)
    shares[..., 0] = 0.6
    shares[:, :, 4:-4, 4:-4] = (0.1, 0.8, 0.1)
    (left, top), (_, bottom) = PLACES["reference_start"], PLACES["reference_end"]
    shares[:, :, int(top * CELLS):int(bottom * CELLS) + 1, int(left * CELLS)] = (0.1, 0.1, 0.8)
    return shares


def graph(measures=LABELS) -> onnx.ModelProto:
    """Colours and known numbers make the estimates; a cm of the ruler adds 3 g."""
    constants, nodes = [], []

    def constant(name, value, kind=np.float32):
        constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def op(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    shares = seen_shares()
    points = newborn_points(1, SIZE, confidence=0.0)[None]
    op("Cast", ["frames"], "pixels", to=TensorProto.FLOAT)
    op("ReduceMean", ["pixels", constant("axes", [1, 2, 3], np.int64)], "colour", keepdims=0)
    of_colour = np.outer((2, 1, 3), (1.0, 0.01, 0.008, 0.006, 0.002))
    op("MatMul", ["colour", constant("of_colour", of_colour)], "by_colour")
    op("Mul", ["tabular", "tabular_mask"], "known")
    op("MatMul", ["known", constant("of_known", [
        (0.1, 0.0005, 0.0003, 0.0003, 0.0001), (20, 0.1, 0.05, 0.05, 0.02),
        (0.5, 0.002, 0.001, 0.001, 0.001), (40, 0.4, 0.2, 0.2, 0.1)])], "by_known")
    op("Add", ["by_colour", "by_known"], "by_both")
    op("Mul", ["reference_cm", constant("of_length", [[3.0, 0.0, 0.0, 0.0, 0.0]])], "by_length")
    op("Add", ["by_both", "by_length"], "by_all")
    absent = np.where([name in measures for name in LABELS], BASE, np.nan)[None]
    op("Add", ["by_all", constant("base", absent)], "mean")
    op("Mul", ["mean", constant("spread", [(0.04, 0.02, 0.02, 0.02, 0.02)])], "scale")
    op("Expand", [constant("cells", shares),
                  constant("shape", [1, FRAMES, CELLS, CELLS, 3], np.int64)], "shares")
    op("MatMul", ["colour", constant("redness", [[0.1], [0], [-0.1]])], "red")
    op("Clip", ["red", constant("zero", 0.0), constant("one", 1.0)], "sure")
    op("Mul", [constant("sureness", np.float32([0, 0, 1])), "sure"], "confidence")
    op("Add", [constant("points", points), "confidence"], "one_frame")
    op("Expand", ["one_frame", constant("all_frames", [1, FRAMES, 19, 3], np.int64)], "keypoints")
    op("Identity", ["colour"], "features")
    inputs = [helper.make_tensor_value_info("frames", TensorProto.UINT8,
                                            [1, FRAMES, SIZE, SIZE, 3]),
              *(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])
                for name in ("tabular", "tabular_mask")),
              helper.make_tensor_value_info("reference_cm", TensorProto.FLOAT, [1])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
               for name in ("mean", "scale", "shares", "keypoints", "features")]
    made = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
