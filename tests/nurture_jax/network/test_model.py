"""NurtureNet: shapes at full size, switches, missing inputs, and the gain since birth."""
import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_batches import FRAMES, SCALING, SIZE, batch, net
from make_records import rows

from deps_jax.common.nn.operations import Mode
from deps_jax.space.families import MOBILENET_V3
from deps_jax.space.subnet_text import decode
from nurture_jax.measures import FORMER_LABELS
from nurture_jax.network.backbone_weights import of_subnet
from nurture_jax.network.backbones import ResNet
from nurture_jax.network.in_space import NAMES as IN_SPACE
from nurture_jax.network.model import ModelSettings, NurtureNet, Unfolded
from nurture_jax.network.scaling import Scaling
from nurture_jax.network.thickness import NAMES
from nurture_jax.records.visit import Visit
from nurture_jax.records.visits import Records

EVALUATION = Mode(False)


def inputs(**changes):
    data = {**batch(), **changes}
    frames = data["frames"].astype(np.float32) / 255 if data["frames"].dtype == np.uint8 \
        else data["frames"]
    return frames, data["tabular"], data["tabular_mask"]


def shapes(model, frames, heads=True):
    call = lambda x: model.init_with_output(jax.random.key(0), x, jnp.zeros((2, 4)),
                                            jnp.zeros((2, 4)), EVALUATION, heads)
    outputs, variables = jax.eval_shape(call, jax.ShapeDtypeStruct((2, *frames), jnp.float32))
    return {name: leaf.shape for name, leaf in vars(outputs).items() if leaf is not None}, variables


@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet"])
def test_full_size(backbone):
    space = MOBILENET_V3.with_choices(kernels=(3, 5, 7))
    module = ResNet(50) if backbone == "resnet50" else of_subnet(space, decode(space, "d2e3k5"))
    model = NurtureNet(ModelSettings(dtype="bfloat16"), SCALING, module)
    outputs, variables = shapes(model, (25, 224, 224, 3))
    assert outputs.pop("pooled") == (2, 128)
    assert outputs.pop("sizes")[0] == 2
    features = {"resnet50": 2048 + 128, "mobilenet": 960 + 128}  # of the frame, and twice of a neck
    assert outputs.pop("features") == (2, features[backbone])
    assert outputs == {"mean": (2, 5), "log_scale": (2, 5), "segmentation": (2, 25, 56, 56, 3),
                       "heatmaps": (2, 25, 56, 56, 19)}
    assert set(variables["params"]) == {"backbone", "video", "fusion"}
    assert set(variables["params"]["fusion"]) == {"tabular", "fuse1", "fuse2", "measures",
                                                  "from_sizes"}


@pytest.mark.parametrize("size", [36, 50])
def test_sides_that_no_stride_divides(size):
    outputs, _ = shapes(net(), (1, size, size, 3))
    assert outputs["heatmaps"][2:4] == (-(-size // 4),) * 2


def test_heads_at_twice_the_resolution():
    """Four cells for each of the neck's, from as many times the outputs of its last layer."""
    (coarse, former), (fine, variables) = (shapes(net(head_stride=stride), (FRAMES, SIZE, SIZE, 3))
                                           for stride in (4, 2))
    for name in ("segmentation", "heatmaps"):
        b, t, h, w, channels = coarse.pop(name)
        assert fine.pop(name) == (b, t, 2 * h, 2 * w, channels)
        last, before = (each["params"]["video"]["heads"][name]["kernel"].shape
                        for each in (variables, former))
        assert last == (*before[:-1], 4 * before[-1])
    assert fine == coarse


def test_finer_cells_lie_in_the_place_of_theirs():
    cells = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    channels = np.stack([np.stack([cells + 1000 * i + 100 * j for j in (0, 1)], 3)
                         for i in (0, 1)], 3)  # n h w i j c
    finer = Unfolded(2).apply({}, channels.reshape(2, 3, 4, 20))
    assert finer.shape == (2, 6, 8, 5)
    for i in (0, 1):
        for j in (0, 1):
            np.testing.assert_array_equal(finer[:, i::2, j::2], cells + 1000 * i + 100 * j)


def test_a_separable_neck_has_the_shapes_of_a_dense_one_and_fewer_weights():
    (dense, wide), (outputs, thin) = (shapes(net(neck_convs=convs), (FRAMES, SIZE, SIZE, 3))
                                      for convs in ("dense", "separable"))
    assert outputs == dense
    video, former = thin["params"].pop("video"), wide["params"].pop("video")
    assert thin["params"] == wide["params"]
    # 3 x 3 x 8 x 8 weights of a dense convolution are 3 x 3 x 8 and 8 x 8 of two.
    for parts, name in ((video["neck"], "smooth"), (video["heads"], "segmentation_hidden"),
                        (video["heads"], "heatmaps_hidden")):
        assert {half: part["kernel"].shape for half, part in parts[name].items()} == {
            "depthwise": (3, 3, 1, 8), "pointwise": (1, 1, 8, 8)}
    assert former["neck"]["smooth"]["kernel"].shape == (3, 3, 8, 8)


@pytest.mark.parametrize(("switches", "heads", "parts"), [
    (dict(use_video=False), set(), set()),
    (dict(use_tabular=False), {"segmentation", "heatmaps"}, {"backbone", "video"}),
    (dict(segmentation=False), {"heatmaps"}, {"backbone", "video"}),
    (dict(keypoints=False), {"segmentation"}, {"backbone", "video"}),
    (dict(segmentation=False, keypoints=False), set(), {"backbone", "video"})])
def test_switches(switches, heads, parts):
    outputs, variables = shapes(net(**switches), (FRAMES, SIZE, SIZE, 3))
    assert set(outputs) - {"mean", "log_scale", "pooled", "sizes", "features"} == heads
    assert ("pooled" in outputs, "sizes" in outputs) == ("video" in parts, bool(heads))
    assert ("features" in outputs) == ("video" in parts)
    assert set(variables["params"]) - {"fusion"} == parts
    fusion = variables["params"]["fusion"]
    assert ("from_sizes" in fusion) == bool(heads)
    assert ("tabular" in fusion) == switches.get("use_tabular", True)


def test_heads_that_the_measures_do_not_need_can_be_left_out():
    lean = net(geometry=False, pooling="mean")
    assert not lean.settings.heads_in_use and net().settings.heads_in_use
    assert "heatmaps" not in shapes(lean, (FRAMES, SIZE, SIZE, 3), heads=False)[0]
    _, trained = shapes(lean, (FRAMES, SIZE, SIZE, 3))
    _, used = shapes(lean, (FRAMES, SIZE, SIZE, 3), heads=False)
    assert {"neck", "heads"} <= set(trained["params"]["video"]) - set(used["params"]["video"])


@pytest.fixture(scope="module")
def tabular():
    """A network of numbers alone: (apply(tabular, mask), variables)."""
    model = net(use_video=False)
    frames = jnp.zeros((4, 1, 8, 8, 3))
    _, values, mask = inputs()
    variables = model.init(jax.random.key(0), frames, values, mask, EVALUATION)
    # As if trained: the last layer starts too near to 0 for any input to matter.
    last = variables["params"]["fusion"]["measures"]
    last["kernel"] = 30 * last["kernel"]
    apply = jax.jit(lambda variables, values, mask: model.apply(variables, frames, values, mask,
                                                                EVALUATION).mean)
    return apply, variables


@pytest.mark.parametrize("column", range(4))
def test_a_missing_value_is_its_embedding_and_nothing_else(tabular, column):
    apply, variables = tabular
    _, values, mask = inputs()
    mask[:, column] = 0
    other = values.copy()
    other[:, column] = 123.0
    missing = apply(variables, values, mask)
    np.testing.assert_array_equal(missing, apply(variables, other, mask))
    params = jax.tree.map(lambda x: x, variables["params"])
    embedding = params["fusion"]["tabular"]["missing"]
    params["fusion"]["tabular"]["missing"] = embedding.at[column].add(1)
    assert np.abs(missing - apply({"params": params}, values, mask)).max() > 1e-4
    params["fusion"]["tabular"]["missing"] = embedding.at[(column + 1) % 4].add(1)
    np.testing.assert_array_equal(missing, apply({"params": params}, values, mask))


def test_gain_is_added_to_the_birth_weight_where_it_is_known(tabular):
    apply, variables = tabular
    last = {"kernel": jnp.zeros((16, 12)), "bias": jnp.zeros(12).at[5].set(2.0)}
    params = {"fusion": {**variables["params"]["fusion"], "measures": last}}
    _, values, mask = inputs()
    mask[:2, 0] = 0
    mean, _ = SCALING.measures(apply({"params": params}, values, mask), jnp.zeros((4, 5)))
    np.testing.assert_allclose(mean[:2, 0], 3000, rtol=1e-5)
    np.testing.assert_allclose(mean[2:, 0], values[2:, 0] * np.exp(0.05 + 2 * 0.1), rtol=1e-5)


@pytest.fixture(scope="module")
def variables():
    call = lambda *x: net().init(jax.random.key(0), *x, EVALUATION)
    return jax.device_get(jax.jit(call)(*inputs()))


def test_half_precision_stays_near(variables):
    call = lambda dtype: jax.jit(lambda *x: net(dtype=dtype).apply(
        variables, *x, Mode(True), mutable=["batch_stats"]))(*inputs())
    (full, full_stats), (half, half_stats) = call("float32"), call("bfloat16")
    for name in ("mean", "segmentation", "heatmaps"):
        assert getattr(half, name).dtype == jnp.float32
        np.testing.assert_allclose(getattr(half, name), getattr(full, name), atol=0.02)
    chex.assert_trees_all_close(half_stats, full_stats, atol=0.02)
    assert half_stats["batch_stats"]["backbone"]["fine"]["norm"]["var"].dtype == jnp.float32


def test_clips_do_not_see_each_other_and_frames_have_no_order(variables):
    frames, values, mask = inputs()
    apply = jax.jit(lambda *x: net().apply(variables, *x, EVALUATION).mean)
    whole = apply(frames, values, mask)
    turned = apply(frames[::-1, ::-1], values[::-1], mask[::-1])
    np.testing.assert_allclose(turned[::-1], whole, atol=1e-5)
    changed = frames.copy()
    changed[0] = 0
    np.testing.assert_allclose(apply(changed, values, mask)[1:], whole[1:], atol=1e-6)


def test_standard_is_of_what_is_there():
    visits = tuple(Visit(**{name: float(value) if name in numbers else value
                            for name, value in row.items() if value})
                   for row in rows() for numbers in [STANDARD_FIELDS])
    scaling = Scaling.of(Records("", visits))
    logs = np.log([visit.weight_g for visit in visits])
    np.testing.assert_allclose([scaling.label_mean[0], scaling.label_std[0]],
                               [np.mean(logs), np.std(logs)], rtol=1e-5)
    np.testing.assert_allclose([scaling.label_mean[3], scaling.label_std[3]],
                               [np.log(32), 1], rtol=1e-6)  # four equal ones
    gains = np.log([visit.weight_g / visit.birth_weight_g for visit in visits])
    np.testing.assert_allclose([scaling.gain_mean, scaling.gain_std],
                               [np.mean(gains), np.std(gains)], rtol=1e-4)
    ages = [visit.age_days for visit in visits]
    np.testing.assert_allclose(scaling.tabular_mean[1], np.mean(ages))
    assert Scaling.from_dict({name: list(value) if isinstance(value, tuple) else value
                               for name, value in dataclasses.asdict(scaling).items()}
                              ) == scaling
    without = tuple(dataclasses.replace(visit, head_cm=None) for visit in visits)
    absent = Scaling.of(Records("", without))
    assert np.isnan(absent.label_mean[2])
    mean, _ = absent.measures(jnp.zeros((2, 5)), jnp.zeros((2, 5)))
    assert np.isnan(mean[:, 2]).all() and np.isfinite(mean[:, 0]).all()
    # A scale is used within the range that it was trained in.
    scales = [scaling.measures(jnp.zeros((1, 5)), jnp.full((1, 5), log))[1] for log in (
        -50, -5, 3, 50)]
    np.testing.assert_allclose(scales[0], scales[1])
    np.testing.assert_allclose(scales[2], scales[3])
    alike = tuple(dataclasses.replace(visit, weight_g=3210.1) for visit in visits)
    assert Scaling.of(Records("", alike)).label_std[0] == 1.0
    assert np.isnan(absent.label_mean[4])  # no row has an arm
    assert not np.isnan(absent.targets(jnp.zeros((2, 5)), jnp.array([[1.0, 1, 0, 1, 1]] * 2))).any()
    bare = tuple(dataclasses.replace(visit, weight_g=None) for visit in visits[1:])
    with pytest.raises(ValueError, match="1 of 8 training visits have a weight_g; at least 2"):
        Scaling.of(Records("", (visits[0], *bare)))


def test_a_run_of_four_measures_says_nothing_of_the_arm():
    """Constants that an older version has written have no labels in them."""
    kept = {name: value for name, value in dataclasses.asdict(SCALING).items() if name != "labels"}
    former = Scaling.from_dict({**kept, "label_mean": list(SCALING.label_mean[:4]),
                                "label_std": list(SCALING.label_std[:4])})
    assert former.labels == FORMER_LABELS
    model = dataclasses.replace(net(use_video=False), scaling=former)
    outputs, _ = shapes(model, (1, 32, 32, 3))
    assert outputs["mean"] == outputs["log_scale"] == (2, 4)
    zeros = jnp.zeros((1, 4))
    for found, full in zip(former.measures(zeros, zeros), SCALING.measures(
            *[jnp.zeros((1, 5))] * 2), strict=True):
        np.testing.assert_allclose(found[:, :4], full[:, :4])
        assert found.shape == (1, 5) and np.isnan(found[:, 4]).all()
    labels = jnp.exp(jnp.array(SCALING.label_mean))[None]
    np.testing.assert_allclose(former.targets(labels, jnp.ones((1, 5))), zeros, atol=1e-5)
    with pytest.raises(ValueError, match="the measure 'foot_cm' of a network is unknown"):
        dataclasses.replace(SCALING, labels=(*SCALING.labels[:4], "foot_cm"))


@pytest.mark.parametrize(("fields", "more"), [
    ({}, 0), (dict(thickness=True), len(NAMES)), (dict(thickness=True, keypoints=False), 0),
    (dict(thickness=True, geometry=False), 0)])
def test_thickness_joins_the_sizes_where_both_heads_are(fields, more):
    wide = shapes(net(**fields), (1, 32, 32, 3))[0].get("sizes", (2, 0))[1]
    former = {**fields, "thickness": False}
    assert wide - shapes(net(**former), (1, 32, 32, 3))[0].get("sizes", (2, 0))[1] == more


@pytest.mark.parametrize(("fields", "more"), [
    (dict(in_space=True), len(IN_SPACE)), (dict(in_space=True, segmentation=False), len(IN_SPACE)),
    (dict(in_space=True, keypoints=False), 0), (dict(in_space=True, geometry=False), 0)])
def test_lengths_in_space_join_the_sizes_where_points_are(fields, more):
    wide = shapes(net(**fields), (1, 32, 32, 3))[0].get("sizes", (2, 0))[1]
    former = {**fields, "in_space": False}
    assert wide - shapes(net(**former), (1, 32, 32, 3))[0].get("sizes", (2, 0))[1] == more


STANDARD_FIELDS = {"age_days", "gestational_age_days", "birth_weight_g", "weight_g", "length_cm",
                   "head_cm", "chest_cm", "arm_cm"}


@pytest.mark.parametrize(("fields", "message"), [
    (dict(use_video=False, use_tabular=False), "are both off; switch one on"),
    (dict(pooling="max"), r"model.pooling 'max' is unknown; use one of \('mask', 'mean'\)"),
    (dict(dropout_rate=1.0), r"model.dropout_rate 1.0 is not in \[0, 1\)"),
    (dict(focal=0.1), "model.focal 0.1 is not in 0.5..10, half sides of a picture; use 2.7"),
    (dict(neck_width=0), "model.neck_width 0 is not positive"),
    (dict(head_stride=8), r"model.head_stride 8 is unknown; use one of \(2, 4\)"),
    (dict(neck_convs="thin"), r"neck_convs 'thin' is unknown; use one of \('dense', 'separable'")])
def test_settings_are_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        ModelSettings(**fields)
