"""Weights of other networks as a start."""
import dataclasses

import chex
import jax
import numpy as np
import pytest
from tiny_spaces import drawn, save_run

from configs import deps_digits
from deps_jax.supernet import supernet
from deps_jax.supernet.convert import to_state_dict
from deps_jax.supernet.initial_weights import initial_weights, teacher_weights
from deps_jax.training import experiment
from deps_jax.training.experiment import Experiment


def config(**space):
    config = deps_digits.get_config()
    with config.unlocked():
        config.space.update(width_mult=0.125, resolution=8, depths=(1, 2), expands=(1, 2), **space)
        config.data.train_images = 100
        config.training.batch_size = 20
    return config.to_dict()


def space_of(kernels, kernel_transform=True):
    fields = config(kernels=kernels, kernel_transform=kernel_transform)
    return Experiment.from_dict(fields).space.build(num_classes=10)


def split(tree):
    """(transforms, everything else), each {name: array}."""
    named = {jax.tree_util.keystr(path): np.asarray(leaf)
             for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    chosen = {name: leaf for name, leaf in named.items() if "transform" in name}
    return chosen, {name: leaf for name, leaf in named.items() if name not in chosen}


@pytest.fixture
def of_largest_kernel(request, tmp_path):
    """(where weights of a space with one kernel size lie, those weights)."""
    if request.param == "run":
        save_run(tmp_path / "run", config(kernels=(5,)))
        return tmp_path / "run", initial_weights(str(tmp_path / "run"), space_of((5,)))
    params, batch_stats = drawn(space_of((5,)))
    np.savez(tmp_path / "w.npz", **to_state_dict(space_of((5,)), params, batch_stats))
    return tmp_path / "w.npz", {"params": params, "batch_stats": batch_stats}


@pytest.mark.parametrize("of_largest_kernel", ["run", "file"], indirect=True)
def test_transforms_that_are_missing_start_as_identities(of_largest_kernel, capsys):
    source, expected = of_largest_kernel
    weights = initial_weights(str(source), space_of((3, 5)))
    transforms, others = split(weights)
    assert len(transforms) == 10  # of the first block and the others of five stages
    for transform in transforms.values():
        assert transform.dtype == np.float32
        np.testing.assert_array_equal(transform, np.broadcast_to(np.eye(9), transform.shape))
    chex.assert_trees_all_equal(others, split(expected)[1])
    fresh, _ = jax.eval_shape(lambda key: supernet.init(key, space_of((3, 5))), jax.random.key(0))
    chex.assert_trees_all_equal_shapes(weights["params"], fresh)
    assert f"{source} lacks start as identities" in capsys.readouterr().out


@pytest.mark.parametrize("of_largest_kernel", ["run", "file"], indirect=True)
def test_weights_of_another_width_are_told_by_their_tensors(of_largest_kernel):
    source, _ = of_largest_kernel
    wider = dataclasses.replace(space_of((5,)), width_mult=0.5)
    with pytest.raises(ValueError, match=r"^\d+ of the \d+ tensors of .* than space .* with "
                       r"width_mult 0\.5: .* is \(.*\) instead of \(.*, \.\.\.; choose the"):
        initial_weights(str(source), wider)


def test_transforms_that_are_there_are_kept(tmp_path, capsys):
    space = space_of((3, 5))
    params, batch_stats = drawn(space)
    np.savez(tmp_path / "w.npz", **to_state_dict(space, params, batch_stats))
    weights = initial_weights(str(tmp_path / "w.npz"), space)
    chex.assert_trees_all_equal(weights["params"], params)
    assert "identities" not in capsys.readouterr().out


def test_nothing_else_may_be_missing(tmp_path):
    params, batch_stats = drawn(space_of((3,)))
    np.savez(tmp_path / "w.npz", **to_state_dict(space_of((3,)), params, batch_stats))
    with pytest.raises(ValueError, match=r"conv\.weight is \(3, 3, \d+\) instead of \(5, 5"):
        initial_weights(str(tmp_path / "w.npz"), space_of((3, 5)))
    tensors = to_state_dict(space_of((5,)), *drawn(space_of((5,))))
    del tensors["blocks.1.conv.depth_conv.bn.bias"]
    np.savez(tmp_path / "w.npz", **tensors)
    with pytest.raises(ValueError, match="lacks 1 tensors"):
        initial_weights(str(tmp_path / "w.npz"), space_of((3, 5)))


def test_a_teacher_is_of_the_same_space_and_classes(tmp_path):
    space, file = space_of((5,)), tmp_path / "teacher.npz"
    params, batch_stats = drawn(space)
    np.savez(file, **to_state_dict(space, params, batch_stats))
    chex.assert_trees_all_equal(teacher_weights(str(file), space)["params"], params)
    with pytest.raises(ValueError, match=r"teacher\.npz knows 10 classes, the data has 3"):
        teacher_weights(str(file), dataclasses.replace(space, num_classes=3))
    with pytest.raises(ValueError, match=r"of the \d+ tensors of the checkpoint have other shapes "
                       r"than space .* with width_mult 0\.5: .* instead of .*; choose the space"):
        teacher_weights(str(file), dataclasses.replace(space, width_mult=0.5))


def test_subnets_start_from_their_teacher_alone():
    settings = Experiment.from_dict(config() | {
        "method": {"name": "ofa", "teacher": "a.npz"}, "init_from": "b.npz"})
    with pytest.raises(ValueError, match=r"'b\.npz' and method\.teacher 'a\.npz' are both given"):
        experiment._start(settings, space_of((5,)))
