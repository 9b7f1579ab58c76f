"""A subnet inside the elastic network is the NurtureNet that is cut out of it."""
import dataclasses

import chex
import jax
import numpy as np
import pytest
from elastic_nurture import SPACE, elastic
from make_batches import FRAMES, PLAIN, SIZE, batch

from deps_jax.common.nn.operations import Mode
from deps_jax.space.subnet import largest, smallest
from nurture_jax.clips.clip_augment import normalise

NETWORK = elastic()


@pytest.fixture(scope="module")
def variables():
    params, stats = jax.jit(lambda key: NETWORK.init(key, FRAMES, SIZE))(jax.random.key(0))
    return params, stats


@pytest.fixture(scope="module")
def clips():
    raw = batch(0)
    return {**{name: raw[name] for name in ("tabular", "tabular_mask", "reference_cm")},
            "frames": np.asarray(normalise(raw["frames"], PLAIN))}


@pytest.fixture(scope="module")
def in_training(variables, clips):
    """Outputs and batch statistics of any subnet, one compilation."""
    run = jax.jit(lambda subnet: NETWORK.apply(variables[0], None, clips, subnet, train=True))
    return lambda subnet: run(jax.tree.map(np.asarray, subnet))


@pytest.mark.parametrize("choose", [smallest, largest])
def test_the_network_that_is_cut_out_says_the_same(variables, clips, in_training, choose):
    subnet = choose(SPACE)
    in_step, stats = in_training(subnet)
    elastic_outputs, nothing = jax.jit(lambda subnet: NETWORK.apply(
        variables[0], stats, clips, subnet, train=False))(jax.tree.map(np.asarray, subnet))
    assert nothing == {}
    model, own = NETWORK.as_model(variables[0], stats, subnet)
    run = jax.jit(lambda own: model.apply(own, clips["frames"], clips["tabular"],
                                          clips["tabular_mask"], Mode(False),
                                          reference_cm=clips["reference_cm"]))
    chex.assert_trees_all_close(elastic_outputs, run(own), atol=2e-4, rtol=2e-4)

    trained, updated = jax.jit(lambda own: model.apply(
        own, clips["frames"], clips["tabular"], clips["tabular_mask"], Mode(True),
        reference_cm=clips["reference_cm"], mutable=["batch_stats"]))(own)
    chex.assert_trees_all_close(in_step, trained, atol=2e-4, rtol=2e-4)
    # The statistics of the batch, which were the running ones, are still those of the batch.
    chex.assert_trees_all_close(updated["batch_stats"], own["batch_stats"], atol=1e-4, rtol=1e-4)


def test_a_space_with_widths_is_refused():
    stage = dataclasses.replace(SPACE.stages[0], widths=(0.5, 1.0))
    space = dataclasses.replace(SPACE, stages=(stage, SPACE.stages[1]))
    with pytest.raises(ValueError, match="give one width"):
        dataclasses.replace(NETWORK, space=space)


def test_a_network_without_video_is_refused():
    with pytest.raises(ValueError, match=r"model\.use_video is off"):
        elastic(use_video=False, geometry=False)
