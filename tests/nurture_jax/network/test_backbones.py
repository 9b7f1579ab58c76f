"""Backbones: published shapes, torchvision's names, and the very features of a deps_jax subnet."""
import json
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_resnet_record import PIXELS, RECORD, WIDTH, images, torchvision_tensors
from tiny_spaces import TINY, drawn, save_run

from configs import deps_digits
from deps_jax.common.nn.operations import Mode
from deps_jax.runs.trained import read_space, read_statistics, save_statistics
from deps_jax.space.families import MOBILENET_V3
from deps_jax.space.subnet_text import decode
from deps_jax.supernet import network
from nurture_jax.network import backbone_weights
from nurture_jax.network.backbone_weights import (
    Backbone,
    from_supernet,
    from_torchvision,
    of_subnet,
)
from nurture_jax.network.backbones import ResNet, describe, from_description

EVALUATION = Mode(False)


def shapes_of(module, size, mode=EVALUATION):
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    return jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x, mode), images)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(("depth", "millions"), [(18, 11.177), (50, 23.508)])
def test_resnets_have_the_published_size(depth, millions):
    features, variables = shapes_of(ResNet(depth), 224)
    # torchvision's 11.690 and 25.557 million, less the classifier of 1000 classes.
    assert count(variables["params"]) / 1e6 == pytest.approx(millions, abs=1e-3)
    widths = [256, 512, 1024, 2048] if depth == 50 else [64, 128, 256, 512]
    expected = {4 * 2**s: (2, 56 // 2**s, 56 // 2**s, width) for s, width in enumerate(widths)}
    assert {stride: leaf.shape for stride, leaf in features.items()} == {
        2: (2, 112, 112, 64), **expected}


def test_mobilenet_gives_every_stride():
    space = MOBILENET_V3.with_choices(kernels=(3, 5, 7))
    module = of_subnet(space, decode(space, "d2e3k5"))
    features, variables = shapes_of(module, 224)
    assert {stride: leaf.shape[1:] for stride, leaf in features.items()} == {
        2: (112, 112, 16), 4: (56, 56, 24), 8: (28, 28, 40), 16: (14, 14, 112), 32: (7, 7, 960)}
    expected = sum(layer.params for layer in module.layers)
    assert count(variables["params"]) == expected


@pytest.fixture(scope="module")
def statistics(tiny_variables):
    """Running statistics that a network may have: no mean at 0, no variance at 1."""
    leaves, tree = jax.tree.flatten(tiny_variables[1])
    rng = np.random.default_rng(0)
    return jax.tree.unflatten(tree, [jnp.asarray(rng.uniform(0.3, 0.9, leaf.shape), jnp.float32)
                                     for leaf in leaves])


@pytest.mark.parametrize("name", ["largest", "smallest", "k3e1x1/k3e2-k5e3x2"])
def test_loaded_subnet_gives_the_features_of_the_supernet(name, tiny_variables, tiny_images,
                                                          statistics, tiny_evaluate, tmp_path):
    params, subnet = tiny_variables[0], decode(TINY, name)
    save_statistics(tmp_path / "s.npz", statistics)
    module = of_subnet(TINY, subnet)
    variables = from_supernet(TINY, params, read_statistics(tmp_path / "s.npz"), subnet)
    _, wanted = shapes_of(module, 9)
    chex.assert_trees_all_equal_shapes(variables, wanted)
    features = jax.jit(module.apply, static_argnums=2)(variables, tiny_images, EVALUATION)
    features = features[max(features)]
    cut = network.extract(TINY, params, statistics, subnet)
    expected = network.forward(module.layers, cut.weights, tiny_images)
    np.testing.assert_allclose(features, expected, atol=1e-4)
    logits, _ = tiny_evaluate(params, statistics, tiny_images, jax.tree.map(jnp.asarray, subnet))
    own = network.forward(cut.layers[len(module.layers):], cut.weights, features)
    np.testing.assert_allclose(own, logits, atol=1e-4)


def test_statistics_in_training_are_those_of_the_batch_on_one_device_and_two(tiny_variables,
                                                                             statistics):
    subnet = decode(TINY, "smallest")
    module, images = of_subnet(TINY, subnet), jax.random.normal(jax.random.key(3), (4, 9, 9, 3))
    variables = from_supernet(TINY, tiny_variables[0], statistics, subnet)
    train = partial(module.apply, mutable=["batch_stats"])
    y, updated = jax.jit(train, static_argnums=2)(variables, images, Mode(True))
    wide = variables["params"]["stem"]["kernel"]
    stem = jax.lax.conv_general_dilated(images, wide, (1, 1), [(1, 1)] * 2,
                                        dimension_numbers=("NHWC", "HWIO", "NHWC"))
    old, new = (tree["batch_stats"]["stem"]["norm"] for tree in (variables, updated))
    np.testing.assert_allclose(new["mean"], 0.9 * old["mean"] + 0.1 * stem.mean((0, 1, 2)),
                               atol=1e-5)
    np.testing.assert_allclose(new["var"], 0.9 * old["var"] + 0.1 * stem.var((0, 1, 2)), atol=1e-5)
    mapped = jax.pmap(lambda x: train(variables, x, Mode(True, "data")), "data",
                      out_axes=(0, None))
    two_y, two = mapped(images.reshape(2, 2, 9, 9, 3))
    chex.assert_trees_all_close(two, updated, atol=1e-4)
    np.testing.assert_allclose(two_y[2].reshape(y[2].shape), y[2], atol=1e-3)


def test_description_is_the_module():
    subnet = decode(TINY, "smallest")
    for module in (ResNet(18, 8), of_subnet(TINY, subnet)):
        assert from_description(json.loads(json.dumps(describe(module)))) == module


def test_a_subnet_of_a_finished_run(tmp_path):
    config = deps_digits.get_config()
    config.space.update(width_mult=0.125, resolution=8, kernels=(3,), depths=(1,), expands=(1, 2))
    config.data.train_images = 40
    config.training.update(epochs=8.0, batch_size=20)
    config.method.ramp_epochs = 1.0
    save_run(tmp_path / "run", config.to_dict())
    space, run = read_space(tmp_path / "run"), str(tmp_path / "run")
    statistics = jax.tree.map(np.ones_like, drawn(space)[1])
    save_statistics(tmp_path / "s.npz", statistics)
    start = backbone_weights.start(Backbone(
        kind="deps", run=run, subnet="d1e1", batch_stats=str(tmp_path / "s.npz")), 32)
    assert (start.mean, start.std) == ((0.31,) * 3, (0.36,) * 3)
    features, wanted = shapes_of(start.module, 32)
    chex.assert_trees_all_equal_shapes(start.variables, wanted)
    assert features[4].shape[1:3] == (8, 8)  # at the clips' resolution, not the run's
    assert start.variables["batch_stats"]["stem"]["norm"]["mean"][0] == 1


@pytest.mark.parametrize("depth", [18, 50])
def test_torchvision_weights_give_the_features_of_torchvision(depth, tmp_path):
    """The record is PyTorch's, of the same tensors and images; the files hold float32."""
    np.savez(tmp_path / "w.npz", **torchvision_tensors(depth))
    start = backbone_weights.start(Backbone(depth=depth, width=WIDTH,
                                            init_from=str(tmp_path / "w.npz")), PIXELS)
    found = jax.jit(start.module.apply, static_argnums=2)(
        start.variables, jnp.asarray(images().transpose(0, 2, 3, 1), jnp.float32), EVALUATION)
    with np.load(RECORD) as record:
        for s in range(4):
            expected = record[f"resnet{depth}_layer{s + 1}"].transpose(0, 2, 3, 1)
            np.testing.assert_allclose(found[4 * 2**s], expected, rtol=1e-4,
                                       atol=1e-5 * expected.max())


def test_weights_by_torchvision_names(tmp_path):
    tensors = torchvision_tensors(50)
    np.savez(tmp_path / "w.npz", **tensors)
    start = backbone_weights.start(Backbone(width=4, init_from=str(tmp_path / "w.npz")), 32)
    _, wanted = shapes_of(start.module, 64)
    chex.assert_trees_all_equal_shapes(start.variables, wanted)
    params, stats = start.variables["params"], start.variables["batch_stats"]
    weight = tensors["layer3.0.downsample.0.weight"]
    np.testing.assert_allclose(params["layer3_0"]["downsample"]["kernel"],
                               weight.transpose(2, 3, 1, 0), rtol=1e-6)
    np.testing.assert_allclose(params["layer1_2"]["conv3"]["norm"]["scale"],
                               tensors["layer1.2.bn3.weight"], rtol=1e-6)
    np.testing.assert_allclose(stats["conv1"]["norm"]["var"],
                               tensors["bn1.running_var"], rtol=1e-6)


@pytest.mark.parametrize(("change", "message"), [
    (lambda state: state.pop("layer2.3.conv2.weight"),
     r"lack 1 tensors .*layer2\.3\.conv2\.weight"),
    (lambda state: state.update({"layer1.0.bn1.weight": np.ones(5)}),
     r"layer1\.0\.bn1\.weight is \(5,\) in the weights"),
    (lambda state: state.update(extra=np.ones(5)), r"does not know, first \['extra'\]")])
def test_weights_that_do_not_fit_are_refused_by_name(change, message):
    state = torchvision_tensors(50)
    change(state)
    with pytest.raises(ValueError, match=message):
        from_torchvision(ResNet(50, 4), state)


def test_pickled_arrays_are_never_opened(tmp_path):
    np.savez(tmp_path / "w.npz", **{"conv1.weight": np.array([{}], object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        backbone_weights.start(Backbone(init_from=str(tmp_path / "w.npz")), 32)


@pytest.mark.parametrize(("fields", "message"), [
    (dict(kind="vit"), "backbone.kind 'vit' is unknown; use one of"),
    (dict(depth=20), "backbone.depth 20 is unknown"),
    (dict(kind="deps", init_from="w.npz"), "backbone.init_from 'w.npz' is for a resnet"),
    (dict(kind="deps", batch_stats="s.npz"), "the second only with the first")])
def test_settings_are_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        Backbone(**fields)
