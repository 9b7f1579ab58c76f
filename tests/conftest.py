"""Two CPU devices, programs that do not outlive their file, and fixtures of many tests."""
import os
from importlib.metadata import version

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
if os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") == "1" and version("jaxlib")[:5] == "0.10.":
    # Half the time of a compilation without most optimizations, and nothing with them; XLA ends a
    # process that gives it a flag it does not know, so only where it was tried.
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"
os.environ["JAX_PLATFORMS"] = "cpu"
# A test may put something else in the place of what a step is traced from.
os.environ["DEPS_JAX_NO_PROGRAMS"] = "1"

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from tiny_spaces import TINY, spread

from deps_jax.common.compiled.freed import free_programs
from deps_jax.space.search_space import SearchSpace
from deps_jax.supernet import supernet

# Arrays of different ranks are not joined by chance: what is meant is spelled out.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module", autouse=True)
def _programs_end_with_their_file():
    yield
    free_programs()


@pytest.fixture
def quick_compilation():
    """As in `make test`, for long tests that compile much and ask nothing of the optimizations."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations",
                      os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") == "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data and golden records; where they are not, the test is skipped."""
    folder = Path(os.environ.get("DEPS_SHARED", "../shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data in {folder} (set DEPS_SHARED)")
    return folder.resolve()


@pytest.fixture(scope="session")
def tiny() -> SearchSpace:
    return TINY


@pytest.fixture(scope="session")
def tiny_variables():
    return spread(TINY)


@pytest.fixture(scope="session")
def tiny_images():
    return jax.random.normal(jax.random.key(2), (4, 9, 9, 3))


@pytest.fixture(scope="session")
def tiny_gradient(tiny_images):
    """Compiled once: (params, traced subnet) -> ((loss, (logits, statistics)), gradient)."""
    def loss_fn(params, subnet):
        logits, statistics = supernet.apply(TINY, params, None, tiny_images, subnet, train=True)
        return jnp.sum(jnp.sin(logits)), (logits, statistics)

    return jax.jit(jax.value_and_grad(loss_fn, has_aux=True))


@pytest.fixture(scope="session")
def tiny_evaluate():
    return jax.jit(partial(supernet.apply, TINY, train=False))
