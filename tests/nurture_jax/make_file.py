"""A file of a small network of random weights, with a card, without any training."""
import dataclasses
import hashlib
from types import SimpleNamespace

import jax
import numpy as np

from configs import nurture
from deps_jax.space.families import SPACES
from deps_jax.space.subnet import smallest
from nurture_jax.clinic.checks import Limits
from nurture_jax.deploy import card as cards
from nurture_jax.deploy import graph
from nurture_jax.evaluation import intervals
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.network.backbone_weights import of_subnet
from nurture_jax.network.backbones import ResNet
from nurture_jax.network.model import NurtureNet, zero_inputs
from nurture_jax.network.scaling import Scaling
from nurture_jax.records.visit import Visit
from nurture_jax.runs.calibration import Calibration
from nurture_jax.training.experiment import Experiment

SIZE, FRAMES = 32, 2
SCALING = Scaling((8.0, 3.9, 3.5, 3.4), (0.2, 0.1, 0.1, 0.1), (8.0, 15.0, 275.0, 0.5),
                  (0.2, 10.0, 12.0, 0.5), 0.1, 0.1)
LENIENT = Limits(least_newborn_share=0, least_body_confidence=0, least_on_mask=0,
                 least_proportions=0, most_size_change=1, least_reference_frames=0,
                 most_cut_frames=1, least_sharpness=0, least_duration_s=0.5)


def backbone(name):
    if name == "mobilenet_v3":
        space = SPACES["mobilenet_v3"].with_choices(width_mult=0.25, resolution=SIZE)
        return of_subnet(space, smallest(space))
    return ResNet(10, 4) if name == "resnet10" else ResNet(50, 4)


def network(name="resnet10", **changes):
    """A small network of what `configs/nurture.py` has, and random variables of it.

    But for the body in space: of points at random the fit has many answers that are as good.
    """
    changes = {"in_space": False, **changes}
    config = nurture.get_config("runlocal")
    config.data.dir = "nowhere"
    settings = Experiment.from_dict(config.to_dict())
    model = NurtureNet(dataclasses.replace(settings.model, **changes), SCALING, backbone(name))
    return model, random_variables(model, SIZE), settings


def random_variables(model, size):
    """Variables of a network that keep its values finite, drawn without compiling anything."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), *zero_inputs(1, size, size)))
    random = np.random.default_rng(0)

    def draw(path, leaf):
        last = str(path[-1].key)
        if last in ("var", "scale"):
            return random.uniform(0.8, 1.25, leaf.shape).astype(np.float32)
        spread = 1 / np.sqrt(max(1, np.prod(leaf.shape[:-1]))) if leaf.ndim > 1 else 0.1
        return random.normal(0, spread, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, {"batch_stats": {}, **shapes})


def clips(b, t, size=SIZE):
    random = np.random.default_rng(b)
    known = (random.random((b, 4)) < 0.7).astype(np.float32)
    numbers = np.float32([3000, 7, 270, 1]) * random.uniform(0.9, 1.1, (b, 4)).astype(np.float32)
    return {"frames": random.integers(0, 256, (b, t, size, size, 3), np.uint8),
            "tabular": numbers * known, "tabular_mask": known,
            "reference_cm": np.full(b, 30, np.float32),
            "example_mask": np.ones(b, np.float32)}


def estimates(n=40):
    random = np.random.default_rng(0)
    visits = tuple(Visit(f"n{i}", "1", "v.mp4", age_days=float(i % 30), weight_g=3000.0 + i,
                         length_cm=50.0, head_cm=34.0, chest_cm=33.0,
                         birth_weight_g=2900.0 if i % 2 else None) for i in range(n))
    mean = np.array([3000.0, 50, 34, 33, np.nan]) + random.normal(size=(n, 5)) * [100, 1, 1, 1, 1]
    return Estimates(visits, mean, np.full((n, 5), 1.0) * [100, 1, 1, 1, np.nan])


def write_file(path, precision="fp32"):
    """A file and its card, as `deploy.export` writes them, and the network they are of."""
    model, variables, settings = network()
    written = graph.write(model, variables, settings.augment.in_use, SIZE, precision)
    content = written.SerializeToString()
    path.write_bytes(content)
    trained = SimpleNamespace(clip=settings.data.clip, sha256="0" * 64, model=model,
                              reference_cm=SCALING.reference_cm)
    calibration = Calibration(intervals.calibrate(estimates()), "", LENIENT)
    cards.write(path, cards.describe(trained, precision) | {
        "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
        "calibration": cards.calibrated(calibration)})
    return model, variables, settings, calibration
