"""The operations of a convolutional network: pure functions on parameters.

Feature maps are [b, h, w, c]; parameters keep float32 and are cast to the compute type of the
feature map where they are used. Batch statistics are float32, or float64 where the feature map is.
"""
from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from deps_jax.common.loop.parallel import Tree, first_index, keys_of, mean_over_devices
from deps_jax.common.nn.moments import moments, norm_sums
from deps_jax.common.nn.precision import exact_product, sum_dtype

Normalised = tuple[jax.Array, jax.Array, jax.Array]  # (y, mean, biased variance)
SYNCHRONISED, PER_DEVICE = NORMS = ("synchronised", "per_device")  # whose batch statistics


def check_batch_norm(name: str) -> None:
    """Raises ValueError unless `training.batch_norm` is one of NORMS."""
    if name not in NORMS:
        raise ValueError(f"training.batch_norm {name!r} is unknown; use {SYNCHRONISED!r} for the "
                         f"statistics of the whole batch, or {PER_DEVICE!r} for those of each "
                         f"device's share of it")


@dataclasses.dataclass(frozen=True)
class Mode:
    """How batch norm behaves. Static under jit.

    Attributes:
      train: Whether to normalise with the statistics of the batch (and return them) instead of
        given ones.
      axis_name: Mapped axis of the devices that share the batch; None on a single one.
      synchronised: Whether batch statistics are those of all devices, or of each device's own
        share of the batch.
    """

    train: bool
    axis_name: str | None = None
    synchronised: bool = True

    @property
    def norm_axis(self) -> str | None:
        """The axis over which batch statistics are averaged; None for those of one device."""
        return self.axis_name if self.synchronised else None


def activate(x: jax.Array, name: str) -> jax.Array:
    """Applies relu, relu6 or h_swish(x) = x relu6(x + 3) / 6; "identity" returns x.

    Raises:
      ValueError: If there is no activation of this name.
    """
    if name == "h_swish":
        return x * hard_sigmoid(x)
    if name == "relu6":
        return _relu6(x)
    if name not in ("relu", "identity"):
        raise ValueError(f"activation {name!r} is unknown; use 'relu', 'relu6', 'h_swish' or "
                         f"'identity'")
    return jnp.maximum(x, 0) if name == "relu" else x


def hard_sigmoid(x: jax.Array) -> jax.Array:
    """relu6(x + 3) / 6."""
    return _relu6(x + 3) * (1 / 6)


@jax.custom_jvp
def _relu6(x: jax.Array) -> jax.Array:
    return jnp.clip(x, 0, 6)


@_relu6.defjvp
def _relu6_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]
               ) -> tuple[jax.Array, jax.Array]:
    """The slope is 0 at 0 and at 6, as in PyTorch: one comparison for what JAX has five for."""
    (x,), (tangent,) = primals, tangents
    return _relu6(x), tangent * ((x > 0) & (x < 6)).astype(x.dtype)


def pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """1x1 convolution as one matrix product: [..., i] and [i, o] -> [..., o]."""
    flat = x.reshape(-1, x.shape[-1])
    return (flat @ kernel.astype(x.dtype)).reshape(*x.shape[:-1], kernel.shape[-1])


def pointwise_norm(x: jax.Array, params: Tree, stats: Tree | None, mode: Mode,
                   epsilon: float) -> tuple[jax.Array, Tree]:
    """1x1 convolution followed by batch norm, without reading the wide result for its statistics.

    In training, the mean and variance of x @ kernel follow from those of x: with the covariance G
    of x, var_j = kernel_j' G kernel_j. So the normalisation is a scale and shift of the kernel, as
    in evaluation. Where a kernel is nearly orthogonal to what varies most in x, its variance is a
    small difference of large numbers, so these (small) products are computed in full precision:
    the default would round float32 to TF32 on GPUs and to bfloat16 on TPUs.

    Args:
      x: Feature map, [..., i].
      params: Parameters, {"kernel": [i, o], "norm": {"scale", "bias": [o]}}.
      stats: Running statistics, {"norm": {"mean", "var": [o]}}; used in evaluation.
      epsilon: What is added to the variance.

    Returns:
      (feature map [..., o], statistics like `stats`).
    """
    kernel, norm = params["kernel"], params["norm"]
    if not mode.train:
        scale, shift = _scale_and_shift(norm, stats["norm"], epsilon)
        return pointwise(x, kernel * scale[None]) + _along(x, shift.astype(x.dtype)), stats
    flat, wide = x.reshape(-1, x.shape[-1]), sum_dtype(x)
    product = partial(exact_product, preferred_element_type=wide)
    mean = mean_over_devices(flat.mean(0, dtype=wide), mode.norm_axis)
    # Rounded after centring, not before: y is made of these very numbers, and so are its moments.
    centred = (flat.astype(wide) - mean[None]).astype(x.dtype)
    covariance = mean_over_devices(_gram(centred) / flat.shape[0], mode.norm_axis)
    var = jnp.maximum((kernel * product(covariance, kernel)).sum(0), 0)
    scaled = kernel * (lax.rsqrt(var + epsilon) * norm["scale"])[None]
    y = centred @ scaled.astype(x.dtype) + norm["bias"].astype(x.dtype)[None]
    statistics = {"norm": {"mean": product(mean, kernel), "var": var}}
    return y.reshape(*x.shape[:-1], -1), lax.stop_gradient(statistics)


@jax.custom_vjp
def _gram(x: jax.Array) -> jax.Array:
    """x' x of x [n, c] as [c, c], in full precision.

    Its pullback is one product with x, for which JAX would take two that are the same.
    """
    return exact_product(x.T, x, preferred_element_type=sum_dtype(x))


def _gram_pullback(x: jax.Array, dy: jax.Array) -> tuple[jax.Array]:
    dx = exact_product(x, (dy + dy.T).astype(x.dtype), preferred_element_type=sum_dtype(x))
    return (dx.astype(x.dtype),)


_gram.defvjp(lambda x: (_gram(x), x), _gram_pullback)


def batch_norm(x: jax.Array, params: Tree, stats: Tree | None, mode: Mode,
               epsilon: float) -> tuple[jax.Array, Tree]:
    """Batch norm over all but the last axis; the biased variance normalises (and is returned).

    Args:
      params: Parameters, {"scale", "bias": [c]}.
      stats: Running statistics, {"mean", "var": [c]}; used in evaluation.
      epsilon: What is added to the variance.

    Returns:
      (y like x, statistics like `stats`).
    """
    if not mode.train:
        scale, shift = _scale_and_shift(params, stats, epsilon)
        scale, shift = (_along(x, vector.astype(x.dtype)) for vector in (scale, shift))
        return x * scale + shift, stats
    y, mean, var = _normalise(x, params["scale"], params["bias"], epsilon, mode.norm_axis)
    return y, {"mean": mean, "var": var}


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _normalise(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float,
               axis_name: str | None) -> Normalised:
    return _normalise_forward(x, scale, bias, epsilon, axis_name)[0]


def _normalise_forward(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float,
                       axis_name: str | None) -> tuple[Normalised, tuple[jax.Array, ...]]:
    mean, var = moments(_rows(x))
    if axis_name is not None:
        # The variance within devices and the one between them, of one exchange. The second is a
        # small difference of squares, whose rounding must not take away from the first.
        mean, within, squares = mean_over_devices((mean, var, mean**2), axis_name)
        var = within + jnp.maximum(squares - mean**2, 0)
    inverse = lax.rsqrt(var + epsilon)
    centred = x.astype(sum_dtype(x)) - _along(x, mean)
    y = (centred * _along(x, inverse * scale) + _along(x, bias)).astype(x.dtype)
    return (y, mean, var), (x, mean, inverse, scale)


def _normalise_backward(epsilon: float, axis_name: str | None, residuals: tuple[jax.Array, ...],
                        cotangents: Normalised) -> tuple[jax.Array, jax.Array, jax.Array]:
    # Two reductions instead of the chain that differentiating mean and variance would give.
    x, mean, inverse, scale = residuals
    dy, count = cotangents[0], x.size // x.shape[-1]
    dbias, dscale = norm_sums(_rows(x), _rows(dy), mean, inverse)
    mean_dbias, mean_dscale = mean_over_devices((dbias / count, dscale / count), axis_name)
    centred = x.astype(sum_dtype(x)) - _along(x, mean)
    dx = (dy.astype(sum_dtype(x)) - _along(x, mean_dbias)
          - centred * _along(x, inverse * mean_dscale)) * _along(x, inverse * scale)
    return dx.astype(x.dtype), dscale, dbias


_normalise.defvjp(_normalise_forward, _normalise_backward)


def _rows(x: jax.Array) -> jax.Array:
    """A feature map [..., c] as a matrix [n, c]."""
    return x.reshape(-1, x.shape[-1])


def _along(x: jax.Array, vector: jax.Array) -> jax.Array:
    """A vector [c] as [1, ..., 1, c], of the rank of x."""
    return vector.reshape((1,) * (x.ndim - 1) + vector.shape)


def _scale_and_shift(params: Tree, stats: Tree, epsilon: float) -> tuple[jax.Array, jax.Array]:
    scale = params["scale"] * lax.rsqrt(stats["var"] + epsilon)
    return scale, params["bias"] - stats["mean"] * scale


def squeeze_excite(x: jax.Array, params: Tree) -> jax.Array:
    """Gates channels by a small network on their spatial means; [b, h, w, c] in and out.

    Args:
      params: Parameters, {"reduce": {"kernel": [c, m], "bias": [m]},
        "expand": {"kernel": [m, c], "bias": [c]}}.
    """
    pooled = x.mean((1, 2))
    hidden = jax.nn.relu(dense(pooled, params["reduce"]))
    return x * hard_sigmoid(dense(hidden, params["expand"]))[:, None, None]


def dense(x: jax.Array, params: Tree,
          dtype: jax.typing.DTypeLike | None = None) -> jax.Array:
    """A dense layer: [b, i] -> [b, o].

    Args:
      params: Parameters, {"kernel": [i, o], "bias": [o]}.
      dtype: Type of the sums of products, to which the bias is added; None is that of x.
    """
    dtype = dtype or x.dtype
    y = jnp.matmul(x, params["kernel"].astype(x.dtype), preferred_element_type=dtype)
    return y + params["bias"].astype(dtype)[None]


def dropout(key: jax.Array, x: jax.Array, rate: float | jax.Array,
            axis_name: str | None) -> jax.Array:
    """Sets features [b, ...] to 0 with probability `rate` and divides the others by 1 - `rate`.

    They are drawn by the example's place in the global batch.

    Args:
      key: Key of the step, the same on all devices.
      rate: Probability in [0, 1); may be traced.
      axis_name: Mapped axis of the devices that share the batch; None on a single one.
    """
    keys = keys_of(key, first_index(x.shape[0], axis_name), x.shape[0])
    keep = jax.vmap(lambda k: jax.random.bernoulli(k, 1 - rate, x.shape[1:]))(keys)
    return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)


def max_pool(x: jax.Array, kernel: int, stride: int) -> jax.Array:
    """The largest of each kernel x kernel pixels of [b, h, w, c], with padding kernel // 2."""
    margin = ((0, 0), (kernel // 2,) * 2, (kernel // 2,) * 2, (0, 0))
    # A NumPy number: with a traced one JAX does not see a maximum, which has a gradient.
    return lax.reduce_window(x, np.asarray(-np.inf, x.dtype), lax.max, (1, kernel, kernel, 1),
                             (1, stride, stride, 1), margin)


def mean_pool(x: jax.Array, stride: int) -> jax.Array:
    """The mean of each stride x stride pixels; those beyond the edge are not counted."""
    if stride == 1:
        return x
    b, h, w, c = x.shape
    rows, columns = -(-h // stride), -(-w // stride)
    padded = jnp.pad(x, ((0, 0), (0, rows * stride - h), (0, columns * stride - w), (0, 0)))
    total = padded.reshape(b, rows, stride, columns, stride, c).sum((2, 4))
    counts = np.outer(*(np.minimum(stride, size - stride * np.arange(n))
                        for size, n in ((h, rows), (w, columns))))
    return total * (1 / counts[None, :, :, None]).astype(x.dtype)
