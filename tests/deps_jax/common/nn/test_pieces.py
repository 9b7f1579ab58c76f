"""Many small arrays at once: the same from C++ as from slices and pads."""
import chex
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from forms import forms

from deps_jax.common.nn.pieces import LIBRARY, corners, padded, split

WHOLE = ((7, 5), (3,), (2, 3, 3, 8), (4, 6), ())
PART = ((4, 5), (2,), (2, 3, 3, 1), (4, 6), ())


form = forms(LIBRARY)


def arrays(shapes, dtype="float32"):
    return tuple(jnp.asarray(np.random.default_rng(i).normal(size=shape), dtype)
                 for i, shape in enumerate(shapes))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
def test_corners_are_slices_and_padded_their_inverse(form, dtype):
    given = arrays(WHOLE, dtype)
    cut = jax.jit(lambda given: corners(given, PART))(given)
    expected = tuple(array[tuple(map(slice, shape))]
                     for array, shape in zip(given, PART, strict=True))
    chex.assert_trees_all_equal(cut, expected)
    back = jax.jit(lambda cut: padded(cut, WHOLE))(cut)
    for array, whole, shape in zip(cut, back, WHOLE, strict=True):
        expected = np.zeros(shape, array.dtype)
        expected[tuple(map(slice, array.shape))] = np.asarray(array)
        np.testing.assert_array_equal(whole, expected)


def test_the_gradient_of_corners_is_zero_beyond_them(form):
    weights = arrays(PART)

    @jax.jit
    def gradient(given):
        return jax.grad(lambda given: sum(
            (part * weight).sum() for part, weight in zip(corners(given, PART), weights,
                                                          strict=True)))(given)

    chex.assert_trees_all_equal(gradient(arrays(WHOLE)), padded(weights, WHOLE))


def test_pieces_of_a_vector_are_in_order(form):
    shapes = ((2, 3), (), (4,), (1, 5))
    vector = jnp.arange(16.0)
    found = jax.jit(lambda vector: split(vector * 2, shapes))(vector)
    assert tuple(piece.shape for piece in found) == shapes
    np.testing.assert_array_equal(np.concatenate([piece.ravel() for piece in found]), vector * 2)
    with pytest.raises(AssertionError, match="15 numbers"):
        split(vector[:15], shapes)


def test_a_vector_is_computed_once_for_all_its_pieces(form):
    run = jax.jit(lambda x: split(jnp.cos(x), ((10,),) * 10))
    assert run.lower(jnp.arange(100.0)).compile().as_text().count(" cosine(") == 1


def test_a_program_in_a_file_needs_no_library():
    run = jax.jit(lambda given: (corners(given, PART), split(given[0].ravel(), ((5,), (30,)))))
    given = arrays(WHOLE)
    exported = jax.export.export(run, platforms=("cpu", "cuda"))(given)
    assert "custom_call" not in exported.mlir_module()
    chex.assert_trees_all_equal(exported.call(given), run(given))
