"""Functions written to ONNX give what JAX gives, for sizes that were not known when written."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("onnx", reason="ONNX is not installed (extra 'export')")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
from jax import lax

from deps_jax.export import traced
from deps_jax.export.device_timer import session
from deps_jax.space.layers import Layer

doubled = jax.custom_vjp(lambda x: x * 2)
doubled.defvjp(lambda x: (x * 2, None), lambda _, slope: (slope,))
FUNCTIONS = {
    "arithmetic": lambda x: jnp.log1p(jnp.abs(x)) ** 3 / (1 + x**2) - jnp.sqrt(x * x + 1),
    "comparisons": lambda x: jnp.where((x > 0) & ~(x > 1), x, jnp.clip(x, -0.5, 0.5)),
    "softmax": lambda x: jax.nn.softmax(x, axis=2),
    "means": lambda x: x.mean((1, 2)) + x.max((1, 2)) - x.min((1, 2)),
    "mean over what is not known": lambda x: x.mean(1),
    "argmax": lambda x: x.argmax(-1).astype(jnp.float32),
    "cumsum": lambda x: lax.cumsum(x, axis=2) + lax.cumsum(x, axis=2, reverse=True),
    "twice as many": lambda x: x.repeat(2, 2)[:, :, :5],
    "indices": lambda x: jnp.concatenate([x[..., 1:], x[..., None, 2], x[:, :, ::2][:, :, :1]
                                          .repeat(x.shape[2], 2)], -1),
    "places": lambda x: x[:, :, jnp.array([3, 0, 2])],
    "merged": lambda x: x.reshape(x.shape[0] * x.shape[1], -1).sum(-1),
    "merged and back": lambda x: jnp.tanh(x.reshape(-1, 4, 3)).reshape(x.shape),
    "turned": lambda x: x.transpose(0, 1, 3, 2) @ jnp.ones((4, 2)) + x.shape[0],
    "einsum": lambda x: jnp.einsum("btij,btik->bjkt", x, x),
    "stack and split": lambda x: jnp.stack(jnp.split(x, [1, 2], axis=-1), 1)[:, 1],
    "unstacked": lambda x: jnp.unstack(x, axis=-1)[1] - jnp.unstack(x, axis=2)[0].sum(
        -1, keepdims=True),
    "rounds": lambda x: lax.scan(
        lambda carry, _: ((jnp.tanh(carry[0] + x.sum(0)),
                           carry[1] * 0.5 + carry[0].mean() * x[:1]), None),
        (x[0], x[:1]), None, length=3)[0][1] + x[:1].mean(1, keepdims=True),
    "padded": lambda x: jnp.pad(x, ((0, 0), (0, 0), (1, 2), (0, 0)), constant_values=2.0),
    "called": lambda x: jax.jit(jax.nn.silu)(doubled(x)) + jax.nn.relu(x),
    "computed again for its slope": lambda x: jax.checkpoint(
        lambda y: jnp.tanh(y * 2 + x[:, :, :1]))(x),
    "known beforehand": lambda x: x * jnp.eye(4, 3)[None, None] + jnp.arange(3.0).sum(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_in_jax(name):
    function = lambda arrays: {"y": FUNCTIONS[name](arrays["x"])}
    b, t = traced.sizes("b", "t")
    model = traced.write(function, {"x": ("float32", (b, t, 4, 3))})
    run = session(model.SerializeToString())
    for shape in ((1, 3), (2, 1)):
        x = np.random.default_rng(0).normal(size=(*shape, 4, 3)).astype(np.float32)
        found = run.run(["y"], {"x": x})[0]
        expected = np.asarray(jax.jit(function)({"x": jnp.asarray(x)})["y"])
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_between_layers_no_map_is_transposed():
    kernels = {name: {"kernel": np.full((3, 3, 2, 2), 0.1, np.float32),
                      "bias": np.ones(2, np.float32)} for name in ("a", "b")}
    of = lambda name: Layer(name, "conv", 2, 2, 4, 4, kernel=3, activation="relu")

    def function(arrays):
        x = traced.layer(arrays["x"], of("a"))
        wide = x.repeat(2, 1).repeat(2, 2)[:, 1:5, 1:5] + x.mean((1, 2), keepdims=True)
        return {"y": traced.layer(wide * jnp.array([1.0, 2.0])[(None,) * 3], of("b")).sum((1, 2))}

    (n,) = traced.sizes("n")
    model = traced.write(function, {"x": ("float32", (n, 4, 4, 2))}, kernels)
    turned = [node.op_type for node in model.graph.node].count("Transpose")
    assert turned == 2  # the input, and two means of each picture
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype(np.float32)

    def conv(x):
        y = lax.conv_general_dilated(x, kernels["a"]["kernel"], (1, 1), [(1, 1)] * 2,
                                     dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jax.nn.relu(y + 1)

    y = conv(x)
    wide = y.repeat(2, 1).repeat(2, 2)[:, 1:5, 1:5] + y.mean((1, 2), keepdims=True)
    expected = conv(wide * jnp.array([1.0, 2.0])[(None,) * 3]).sum((1, 2))
    found = session(model.SerializeToString()).run(["y"], {"x": x})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_round_with_something_of_its_own_is_refused():
    with pytest.raises(ValueError, match="a scan that reads or stacks something in every round"):
        traced.write(lambda arrays: {"y": lax.scan(lambda carry, x: (carry + x, None),
                                                   jnp.zeros(3), arrays["x"])[0]},
                     {"x": ("float32", (4, 3))})


@pytest.mark.parametrize(("op", "channels", "node", "expected"), [
    ("double", 2, "Resize", lambda x: x.repeat(2, 1).repeat(2, 2)),
    ("unfold", 8, "DepthToSpace", lambda x: x.reshape(2, 3, 3, 2, 2, 2).transpose(
        0, 1, 3, 2, 4, 5).reshape(2, 6, 6, 2))])
def test_a_finer_map_is_one_node(op, channels, node, expected):
    """Each pixel four times, or its channels as four pixels."""
    of = Layer("finer", op, channels, 2, 3, 6)
    (n,) = traced.sizes("n")
    model = traced.write(lambda arrays: {"y": traced.layer(arrays["x"], of)},
                         {"x": ("float32", (n, 3, 3, channels))})
    assert [each.op_type for each in model.graph.node].count(node) == 1
    x = np.random.default_rng(0).normal(size=(2, 3, 3, channels)).astype(np.float32)
    found = session(model.SerializeToString()).run(["y"], {"x": x})[0]
    np.testing.assert_array_equal(found, expected(x))


def test_what_is_laid_otherwise_stays_so_and_is_the_same():
    def function(arrays):
        x = traced.laid(arrays["x"], (0, 3, 1, 2))
        return {"y": (x * jnp.array([1.0, 2.0, 3.0])[(None,) * 3]).sum((1, 2))}

    (n,) = traced.sizes("n")
    model = traced.write(function, {"x": ("float32", (n, 4, 4, 3))})
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Transpose") == 1 and kinds.index("Transpose") < kinds.index("Mul")
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    found = session(model.SerializeToString()).run(["y"], {"x": x})[0]
    np.testing.assert_allclose(found, (x * [1, 2, 3]).sum((1, 2)), rtol=1e-5, atol=1e-5)


def test_what_has_no_rule_is_named():
    with pytest.raises(ValueError, match="sort cannot be written to ONNX yet; add it to RULES of"):
        traced.write(lambda arrays: {"y": jnp.sort(arrays["x"])}, {"x": ("float32", (3,))})
    shaped = {"x": ("float32", (3,))}
    for name, function in (
            ("reduce", lambda x: lax.reduce(x, 1.0, lambda a, b: a * b + a, (0,))),
            ("reduce_window", lambda x: lax.reduce_window(x, 0.0, lambda a, b: a * b + a, (2,),
                                                          (1,), "VALID")),
            ("while", lambda x: lax.while_loop(lambda x: x.sum() < 9, lambda x: x * 2, x)),
            ("cond", lambda x: lax.cond(x[0] > 0, jnp.tanh, jnp.abs, x))):
        with pytest.raises(ValueError, match=f"{name} cannot be written to ONNX yet; add it to"):
            traced.write(lambda arrays, function=function: {"y": function(arrays["x"])}, shaped)
    with pytest.raises(ValueError, match="arrays of float16 are not written; use one of"):
        traced.write(lambda arrays: {"y": arrays["x"].astype(jnp.float16)},
                     {"x": ("float32", (3,))})
