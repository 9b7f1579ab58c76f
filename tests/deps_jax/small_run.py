"""A training recipe with every part of the method and little to compile."""
import dataclasses

import jax
import numpy as np
from tiny_spaces import PIXELS

from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.loop.state import TrainState
from deps_jax.data.augment import Augment
from deps_jax.space.search_space import SearchSpace, Stage
from deps_jax.training.methods import DEPS
from deps_jax.training.train import Recipe, init_state

# Two widths, two depths and a gate.
SPACE = SearchSpace(
    name="small", stem_width=8, stem_stride=1, first_width=8, first_residual=True,
    stages=(Stage(16, 2, "h_swish", True, depths=(1, 2), kernels=(3,), expands=(1, 2)),),
    head_width=16, feature_width=16, num_classes=5, resolution=9)
AUGMENT = Augment(mean=PIXELS.mean, std=PIXELS.std, flip=True, crop_padding=2, cutout_size=3)
# Subnets join at step 8 and train at full rate from step 16.
METHOD = dataclasses.replace(DEPS, full_model_fraction=0.4, ramp_epochs=2.0)
RECIPE = Recipe(space=SPACE, method=METHOD, total=40, steps_per_epoch=4, dropout_rate=0.1,
                optimizer=Optimizer(learning_rate=0.1), augment=AUGMENT)


def fresh_state(recipe: Recipe) -> TrainState:
    """The state before the first step, in float64, as NumPy arrays."""
    state = jax.device_get(jax.jit(lambda: init_state(jax.random.key(0), recipe))())
    return jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float64) if leaf.dtype == np.float32 else leaf, state)
