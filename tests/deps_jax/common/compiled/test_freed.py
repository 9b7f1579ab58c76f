"""What programs hold is given back, and their functions still work."""
import jax
import jax.numpy as jnp
from footprint import PROC, footprint

from deps_jax.common.compiled.freed import free_programs


def test_memory_maps_of_programs_are_given_back():
    free_programs()
    before = footprint().maps
    functions = [jax.jit(lambda x, i=i: jnp.tanh(x @ x.T) + i) for i in range(30)]
    answers = [float(function(jnp.ones((3, 3)))[0, 0]) for function in functions]
    held = footprint().maps - before
    free_programs()
    if PROC.is_dir():
        assert held > 30 and footprint().maps - before < held / 3
    assert [float(function(jnp.ones((3, 3)))[0, 0]) for function in functions] == answers
