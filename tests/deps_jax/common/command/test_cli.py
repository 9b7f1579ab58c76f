"""Files that cannot be used, and a missing package: one sentence, never a traceback."""
import math
import signal
import subprocess
import sys

import jax
import pytest

from deps_jax.common.command import cli
from deps_jax.common.command.mendable import is_mendable, sentence
from deps_jax.common.command.outputs import output_file, output_folder


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=False)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    code = ("from pathlib import Path; from deps_jax.common.command.cli import run; "
            f"run(lambda argv: Path({str(tmp_path / 'file' / 'run')!r}).mkdir())")
    result = python(code)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert result.stderr.startswith(f"error: {tmp_path / 'file' / 'run'} cannot be used (Not a ")


@pytest.mark.parametrize(("number", "flag", "code"), [
    (signal.SIGTERM, "", 0), (signal.SIGTERM, "--stopped_exit_code=75", 75),
    (signal.SIGINT, "--stopped_exit_code=75", 130), (signal.SIGTERM, "--stopped_exit_code=256", 2)])
def test_a_run_that_was_stopped_ends_with_the_code_that_was_asked_for(number, flag, code):
    """A scheduler that takes 0 for the end of the run would not start it again."""
    result = python(f"""
import sys
from deps_jax.common.command.cli import run
from deps_jax.common.loop.fit import Interrupted
def main(argv):
    raise Interrupted("stopped after step 3 of 10", {int(number)})
sys.argv[1:] = {flag.split()}
run(main, together=True)""")
    assert result.returncode == code and "Traceback" not in result.stderr, result.stderr
    assert ("stopped after step 3 of 10" in result.stderr) == (code != 2)


def test_sentence_names_the_path_that_failed():
    assert sentence(PermissionError(13, "Permission denied", "a/b")).startswith(
        "a/b cannot be used (Permission denied); check")
    assert sentence(OSError(18, "Invalid cross-device link", "a", None, "b")).startswith("b cannot")
    assert sentence(OSError("no path here")) == "no path here"
    assert sentence(ValueError("size 0")) == "size 0"


@pytest.mark.parametrize("ask", [
    "import numpy; numpy.empty(1 << 50)", "import jax.numpy as jnp; jnp.zeros(1 << 50)",
    "raise OSError(12, 'Cannot allocate memory')",
    "raise RuntimeError(\"can't start new thread\")"])
def test_too_little_memory_is_one_sentence(ask):
    """What NumPy and JAX really say, and what the system does."""
    result = python(f"from deps_jax.common.command.cli import run\n"
                    f"def main(argv):\n    {ask}\nrun(main)")
    assert result.returncode == 2 and "Traceback" not in result.stderr, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: there is not enough memory (") and "is kept" in last


def test_shared_memory_that_is_full_is_told_apart():
    """What grain says when the system has ended its worker with SIGBUS."""
    error = RuntimeError("Worker process was terminated unexpectedly with exit code -7. Search the")
    assert is_mendable(error) and "/dev/shm" in sentence(error)


def test_other_errors_are_not_taken_for_too_little_memory():
    assert is_mendable(ValueError("out of memory")) and sentence(ValueError(
        "batch 3 is out of memory range")) == "batch 3 is out of memory range"
    assert not is_mendable(RuntimeError("a mistake of ours"))
    assert not is_mendable(TypeError("None has no length"))


def test_nearly_full_caches_are_only_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(jax.config, "update", lambda name, value: settings.update({name: value}))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    settings = {}
    cli.prepare_jax()
    assert settings["jax_persistent_cache_min_compile_time_secs"] == 0.5
    monkeypatch.setattr(cli, "CACHE_ROOM_BYTES", 1e18)
    cli.prepare_jax()
    assert settings["jax_persistent_cache_min_compile_time_secs"] == math.inf
    assert "is nearly full, so compiled programs are not kept there" in capsys.readouterr().err


def test_output_file(tmp_path):
    assert output_file("picture", str(tmp_path / "a.PNG"), (".png",)) == tmp_path / "a.PNG"
    for name, message in (("a.xyz", "does not end with .png or .jpg"), ("", "is a folder"),
                          ("none/a.png", "there is no folder .*none; make it")):
        with pytest.raises(ValueError, match=f"--picture .*{message}"):
            output_file("picture", str(tmp_path / name), (".png", ".jpg") if name else ())


def test_output_folder(tmp_path):
    assert output_folder("out", str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    (tmp_path / "file").write_text("")
    for name in ("file", "file/a/b"):
        with pytest.raises(ValueError, match=f"--out .*{name}: .*/file is a file; give a folder"):
            output_folder("out", str(tmp_path / name))


def test_synthetic_videos_name_a_missing_extra():
    code = ("import runpy, sys; sys.modules['av'] = None; "
            "runpy.run_module('nurture_jax.synthetic', run_name='__main__')")
    result = python(code)
    assert result.returncode == 2, result.stderr
    assert result.stderr.strip() == ("error: av is not installed; install the extra that holds it: "
                                     "pip install 'deps-jax[nurture]'")
