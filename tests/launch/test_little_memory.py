"""A training that gets no more memory: one sentence, and the run goes on from its checkpoint."""
import subprocess
import sys

import pytest
from launch_here import ROOT

pytestmark = pytest.mark.long

# After a checkpoint of step 4 the process may take no more address space than it has.
SHORT_OF_MEMORY = """
import resource, runpy, sys
from pathlib import Path
from deps_jax.common.loop.checkpoint import Checkpoints

save = Checkpoints.save

def and_then(checkpoints, step, *rest, **more):
    save(checkpoints, step, *rest, **more)
    if step == 4 and checkpoints.folder.name == "checkpoints":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(),) * 2)

Checkpoints.save = and_then
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def command(folder, data):
    from nurture_flags import CONFIG

    return ["launch.train_nurture", *CONFIG, "--config.cadence.checkpoint_every=4",
            f"--data={data}", f"--workdir={folder}"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux limits the memory of a process")
def test_a_training_without_memory_goes_on_from_its_checkpoint(tmp_path):
    for package in ("av", "pycocotools", "pygrowup"):
        pytest.importorskip(package, reason=f"{package} is not installed (extra 'nurture')")
    from make_records import write_records

    from nurture_jax.runs.inference import TrainedNurture

    data = write_records(tmp_path / "set", infants=22, marks=False)
    run = lambda *start: subprocess.run([sys.executable, *start], cwd=ROOT, capture_output=True,
                                        text=True, check=False)
    ended = run("-c", SHORT_OF_MEMORY, *command(tmp_path / "run", data))
    assert ended.returncode == 2 and "Traceback" not in ended.stderr, ended.stderr[-2000:]
    told = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1 and "there is not enough memory (" in told[0]
    for folder in ("run", "undisturbed"):
        ended = run("-m", *command(tmp_path / folder, data))
        assert ended.returncode == 0, ended.stderr[-2000:]
    first, second = (TrainedNurture.open(tmp_path / name) for name in ("run", "undisturbed"))
    assert first.sha256 == second.sha256
