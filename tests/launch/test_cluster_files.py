"""Files that start training on clusters: their syntax, and that what they ask for is there."""
import re
import subprocess
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[2] / "launch"
SCRIPTS = [LAUNCH / "slurm.sbatch", LAUNCH / "tpu_pod.sh"]
TRAINING = (LAUNCH / "train_supernet.py").read_text()
FLAGS = {"config", "workdir", "distributed", "coordinator", "processes", "process",
         "stopped_exit_code"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_bash(script):
    subprocess.run(["bash", "-n", script], check=True)
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/bin/bash" and "set -euo pipefail" in lines


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_names_what_is_not_set(script):
    result = subprocess.run(["bash", script], capture_output=True, text=True, check=False,
                            env={"PATH": "/usr/bin:/bin"})
    assert result.returncode and re.search(r"(CONFIG|TPU): set", result.stderr), result.stderr


def test_the_job_set_is_whole():
    job, = yaml.safe_load((LAUNCH / "jobset.yaml").read_text())["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    container, = spec["template"]["spec"]["containers"]
    flags = dict(word.removeprefix("--").split("=", 1) for word in container["command"]
                 if word.startswith("--"))
    assert container["command"][:3] == ["python", "-m", "launch.train_supernet"]
    assert flags.keys() <= FLAGS and spec["completionMode"] == "Indexed"
    assert int(flags["processes"]) == spec["parallelism"] == spec["completions"]
    # After 0 a pod that was asked to go counts as succeeded, and is not started again.
    assert int(flags["stopped_exit_code"]) and job["template"]["spec"]["backoffLimit"] == 0
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in spec["template"]["spec"]["volumes"]}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_gives_flags_that_there_are(script):
    command = script.read_text().split("launch.train_supernet", 1)[1]
    assert set(re.findall(r"--(\w+)", command)) <= FLAGS and "run(main, together=True)" in TRAINING
