"""A process that may not have the memory that saving takes says so; it does not wait for ever."""
import os
import subprocess
import sys

import pytest

from deps_jax.common.loop.checkpoint import THREADS_BYTES, Checkpoints

LIMITED = """
import os, resource
from pathlib import Path
import jax.numpy as jnp
from deps_jax.common.command.cli import run
from deps_jax.common.loop.checkpoint import Checkpoints

def used():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()

def main(_):
    folder, more = Path(os.environ["FOLDER"]), int(os.environ["MORE"])
    state = {"w": jnp.arange(6000.0), "step": jnp.int32(4)}
    Checkpoints(folder).save(1, state)
    limit = used() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    Checkpoints(folder).save(2, state)

run(main)
"""


def limited(folder, more):
    """Saves once, and once more where address space has only so many bytes more."""
    return subprocess.run([sys.executable, "-c", LIMITED], text=True, capture_output=True,
                          env={**os.environ, "FOLDER": str(folder), "MORE": str(more)}, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux")
@pytest.mark.parametrize("more", [THREADS_BYTES // 2, 2 ** 22, 0])
def test_too_little_memory_to_save_is_one_sentence(tmp_path, more):
    result = limited(tmp_path / "checkpoints", more)
    assert result.returncode == 2 and "Traceback" not in result.stderr, result.stderr
    assert "error: there is not enough memory (" in result.stderr.strip().splitlines()[-1]
    assert Checkpoints(tmp_path / "checkpoints").latest_step() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux")
def test_what_is_asked_for_is_enough(tmp_path):
    result = limited(tmp_path / "checkpoints", THREADS_BYTES + 2 ** 22)
    assert result.returncode == 0, result.stderr
    assert Checkpoints(tmp_path / "checkpoints").latest_step() == 2
