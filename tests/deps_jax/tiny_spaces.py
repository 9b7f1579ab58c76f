"""Small search spaces of every kind, parameters for them, and a run as training would leave it."""
from pathlib import Path

import jax
import numpy as np

from deps_jax.common.files import workdir
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.data.augment import Augment
from deps_jax.space.families import SPACES
from deps_jax.space.search_space import SearchSpace, Stage
from deps_jax.supernet import supernet
from deps_jax.training import experiment, run_records
from deps_jax.training.train import init_state

# Every part of the engine in the smallest form: strides, squeeze-excite, transforms, two widths.
TINY = SearchSpace(
    name="tiny", stem_width=8, stem_stride=1, first_width=8, first_residual=True,
    stages=(
        Stage(8, 1, "relu", False, depths=(1, 2), kernels=(3, 5), expands=(1, 2, 3)),
        Stage(16, 2, "h_swish", True, depths=(1, 2, 3), kernels=(3, 5), expands=(1, 2, 3)),
    ),
    head_width=24, feature_width=32, num_classes=5, resolution=9, kernel_transform=True,
)
# What TINY has not: stages of one block, single kernels and ratios, no expansion, no features
# after the pooling, kernels cut out without transforms, another width multiplier.
PLAIN = SearchSpace(
    name="plain", stem_width=16, stem_stride=2, first_width=32, first_residual=False,
    stages=(
        Stage(16, 1, "relu6", True, depths=(1,), kernels=(3,), expands=(1.5, 2)),
        Stage(32, 2, "h_swish", True, depths=(1, 2, 3), kernels=(3, 5, 7), expands=(1,)),
        Stage(32, 1, "relu", False, depths=(2,), kernels=(5,), expands=(2,)),
    ),
    head_width=48, feature_width=0, num_classes=4, resolution=11, stem_activation="relu6",
    first_activation="h_swish", head_activation="relu", width_mult=0.5, norm_epsilon=1e-3,
)
# A family for runs of whole commands: two stages with every part take a third of the time that the
# five of a published one take to compile.
TWO_STAGES = SearchSpace(
    name="two_stages", stem_width=8, stem_stride=1, first_width=8, first_residual=True,
    stages=(Stage(8, 1, "relu", False, depths=(1, 2), kernels=(3, 5), expands=(1, 2)),
            Stage(16, 2, "h_swish", True, depths=(1, 2), kernels=(3, 5), expands=(1, 2))),
    head_width=32, feature_width=32, num_classes=10, resolution=8)
SPACES[TWO_STAGES.name] = TWO_STAGES
PIXELS = Augment(mean=(0.5,) * 3, std=(0.25,) * 3)


def drawn(space: SearchSpace, seed: int = 0):
    """(params, batch_stats) shaped as those of a space, all different; nothing is compiled."""
    generator = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda key: supernet.init(key, space), jax.random.key(0))
    return jax.tree.map(lambda leaf: generator.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype),
                        shapes)


def spread(space: SearchSpace):
    """(params, batch_stats) that make every part count: random scales, biases and transforms."""
    params, batch_stats = jax.jit(supernet.init, static_argnums=1)(jax.random.key(0), space)
    generator = np.random.default_rng(1)
    params = jax.tree.map(
        lambda leaf: leaf + 0.1 * generator.standard_normal(leaf.shape, np.float32), params)
    return params, batch_stats


def save_run(folder: Path, config: dict) -> None:
    """A run of a tiny config as training would leave it, without the minutes of training.

    Weights are random but spread, so that no two logits of an image are close.
    """
    settings = experiment.Experiment.from_dict(config)
    space, splits = experiment.build(settings)
    recipe = experiment.build_recipe(settings, space, len(splits.train))
    state = jax.jit(lambda key: init_state(key, recipe))(jax.random.key(0))
    params = jax.tree.map(lambda leaf: 4 * leaf, state.params["classifier"])
    state = state.replace(params={**state.params, "classifier": params})
    workdir.claim(folder, config, records=run_records.RunRecords.of(space, splits).files())
    Checkpoints(folder / "checkpoints").save(recipe.total, state)
