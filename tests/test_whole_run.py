"""What the test run says of itself: who was skipped, and what its processes held."""
import subprocess
import sys
import time
from pathlib import Path

import pytest
from footprint import MAX_MAPS, Footprint, Watch, footprint

HERE = Path(__file__).parent


def run(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess:
    (folder / "test_it.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "whole_run", "-o", f"pythonpath={HERE}",
         "-p", "no:cacheprovider", *options, "test_it.py"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("workers", [("-p", "no:xdist"), ("-n", "1")])
def test_a_skip_for_want_of_a_package_fails_the_run(tmp_path, workers):
    text = "import pytest\ndef test_ok(): pass\ndef test_skip(): pytest.importorskip('absent')\n"
    result = run(tmp_path, text, *workers)
    assert result.returncode == 1
    assert "test_it.py::test_skip was skipped: Skipped: could not import 'absent'" in result.stdout
    assert run(tmp_path, text, "--allow-skips", *workers).returncode == 0


def test_a_file_skipped_as_a_whole_fails_the_run(tmp_path):
    result = run(tmp_path, "import pytest\npytest.importorskip('absent')\n", "-p", "no:xdist")
    assert result.returncode != 0


def test_missing_shared_data_may_skip(tmp_path):
    text = ("import pytest\ndef test_ok(): pass\n"
            "def test_skip(): pytest.skip('no shared data in x (set DEPS_SHARED)')\n")
    result = run(tmp_path, text, "-p", "no:xdist")
    assert result.returncode == 0
    assert "1 skipped: they read the data beside the repository" in result.stdout


def test_a_process_with_too_many_maps_fails_the_run(tmp_path):
    text = "def test_ok(): pass\n"
    result = run(tmp_path, text, "-p", "no:xdist", "--most-maps", "5")
    assert result.returncode == 1
    assert "more than 4 GB or 5 maps; free what a file compiled" in result.stdout


def test_a_process_with_too_much_memory_fails_the_run(tmp_path):
    text = "def test_ok(): pass\n"
    result = run(tmp_path, text, "-p", "no:xdist", "--most-gb", "0.001")
    assert result.returncode == 1
    assert "more than 0.001 GB or 15000 maps; free what a file compiled" in result.stdout


def test_footprint_is_of_a_process_and_its_children():
    child = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()  # before that it may still be a copy of this process
    try:
        watch = Watch(every_s=0.05)
        found = footprint(child.pid)
        assert 1e6 < found.resident_bytes < 1e9
        assert 5 < found.maps < MAX_MAPS
        while not any(pid == child.pid for pid, _ in list(watch.largest)):
            time.sleep(0.05)
        watch.close()
    finally:
        child.communicate(b"\n")
    assert footprint(child.pid) == Footprint()
