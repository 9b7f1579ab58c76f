"""The width of XLA's vectors: asked of the processor, set in time, never over a user's flags."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs import deps_digits
from deps_jax.common.command import vectors
from deps_jax.training import experiment

ROOT = Path(__file__).parents[4]
LAUNCHERS = sorted(f"launch.{path.stem}" for path in (ROOT / "launch").glob("*.py")
                   if path.stem not in ("__init__", "limits"))


@pytest.mark.parametrize(("text", "found"), [
    ("model name\t: Xeon\nflags\t\t: fpu avx2 avx512f avx512dq\n", True),
    ("flags : avx avx2 avx512_bf16\nbugs : avx512f\n", False),
    ("Features\t: fp asimd\n", False), (None, False)],
    ids=["avx512", "avx2", "arm", "no Linux"])
def test_the_processor_is_asked(text, found, tmp_path, monkeypatch):
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(vectors, "CPUINFO", tmp_path / "cpuinfo")
    assert vectors.has_avx512() is found


@pytest.mark.parametrize(("wide", "given", "bits"), [
    (True, None, 512), (False, None, 256), (True, "", 256),
    (True, "--xla_cpu_enable_fast_math=false", 256),
    (True, "--xla_cpu_prefer_vector_width=128 --xla_cpu_prefer_vector_width=256", 256)])
def test_the_users_flags_stay(wide, given, bits, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if given is not None:
        monkeypatch.setenv("XLA_FLAGS", given)
    monkeypatch.setattr(vectors, "has_avx512", lambda: wide)
    vectors.prefer_wide_vectors()
    assert vectors.vector_bits() == bits
    if given is not None or not wide:
        assert os.environ.get("XLA_FLAGS") == given


def test_the_plan_of_a_run_tells_the_width(monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_prefer_vector_width=512")
    settings = experiment.Experiment.from_dict(deps_digits.get_config().to_dict())
    recipe = experiment.build_recipe(settings, settings.space.build(num_classes=10), 1200)
    experiment.print_plan(recipe, 64, "1200 images", start_step=0)
    assert capsys.readouterr().out.strip().endswith("; vectors of 512 bits")


def test_xla_reads_what_a_launcher_sets():
    """Seen by another flag, whose effect JAX tells; every launcher is imported before."""
    code = """
import runpy, sys
import jax
from absl import flags
from deps_jax.common.command import cli, vectors

vectors.has_avx512 = lambda: True
vectors.FLAG, vectors.WIDE_BITS = "--xla_force_host_platform_device_count", 3
modules, sys.argv = sys.argv[1:], sys.argv[:1]
for module in modules:
    before = set(flags.FLAGS)
    runpy.run_module(module)
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
cli.run(lambda argv: print(jax.device_count()))
"""
    assert len(LAUNCHERS) > 10
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    result = subprocess.run([sys.executable, "-c", code, *LAUNCHERS], cwd=ROOT, text=True,
                            env=environment, capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (0, "3\n"), result.stderr
