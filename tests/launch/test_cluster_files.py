"""Files that start training on clusters: their syntax, what they ask for, and what they run.

A program of the tests stands for the cluster's own, `srun` or `gcloud`.
"""
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[2] / "launch"
SCRIPTS = [LAUNCH / "slurm.sbatch", LAUNCH / "tpu_pod.sh"]
TRAININGS = ("train_supernet", "train_nurture", "train_nurture_once")
FLAGS = {"config", "workdir", "distributed", "coordinator", "processes", "process",
         "stopped_exit_code"}
WHERE = {"CONFIG": "configs/deps_digits.py:tiny", "WORKDIR": "/shared/runs/c 10",
         "TFDS_DATA_DIR": "/shared/data sets", "TPU": "slice", "ZONE": "here"}
TOLD = """#!/bin/sh
echo "TFDS_DATA_DIR=$TFDS_DATA_DIR"
echo "JAX_COMPILATION_CACHE_DIR=$JAX_COMPILATION_CACHE_DIR"
for word in "$@"; do echo "<$word>"; done
"""
SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""
# Two tasks of one machine each, as far as they can tell.
SRUN_OF_TWO = """#!/bin/sh
[ "$1" = --kill-on-bad-exit=1 ] || exit 9
while [ "${1#--}" != "$1" ]; do shift; done
export SLURM_STEP_NODELIST=localhost SLURM_STEP_NUM_NODES=2 SLURM_NTASKS=2 SLURM_LOCALID=0
SLURM_PROCID=1 "$@" & other=$!
SLURM_PROCID=0 "$@" && wait $other
"""
GCLOUD = """#!/bin/sh
for last in "$@"; do :; done
exec sh -c "$last"
"""


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def linter(name):
    """A program of the extra 'test'."""
    path = Path(sys.executable).with_name(name)
    if not path.is_file():
        pytest.skip(f"{name} is not installed (extra 'test')")
    return path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_bash(script):
    subprocess.run(["bash", "-n", script], check=True)
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/bin/bash" and "set -euo pipefail" in lines
    assert max(map(len, lines)) <= 100


def test_shellcheck_has_nothing_to_say():
    ended = subprocess.run([linter("shellcheck"), *SCRIPTS], capture_output=True, text=True,
                           check=False)
    assert ended.returncode == 0, ended.stdout


def test_yamllint_has_nothing_to_say():
    rules = "{extends: default, rules: {line-length: {max: 100}, document-start: disable}}"
    ended = subprocess.run([linter("yamllint"), "--strict", "-d", rules, LAUNCH / "jobset.yaml"],
                           capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_names_what_is_not_set(script):
    result = subprocess.run(["bash", script], capture_output=True, text=True, check=False,
                            env={"PATH": "/usr/bin:/bin"})
    assert result.returncode and re.search(r"(CONFIG|TPU): set", result.stderr), result.stderr


def test_slurm_gives_each_process_a_whole_machine():
    asked = re.findall(r"^#SBATCH (\S+)$", SCRIPTS[0].read_text(), re.MULTILINE)
    assert {"--ntasks-per-node=1", "--exclusive", "--mem=0"} <= set(asked)


def test_the_job_set_is_whole():
    text = (LAUNCH / "jobset.yaml").read_text()
    job, = yaml.safe_load(text)["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    container, = spec["template"]["spec"]["containers"]
    flags = dict(word.removeprefix("--").split("=", 1) for word in container["command"]
                 if word.startswith("--"))
    assert container["command"][:2] == ["python", "-m"]
    assert container["command"][2].removeprefix("launch.") in TRAININGS
    assert flags.keys() <= FLAGS and spec["completionMode"] == "Indexed"
    assert int(flags["processes"]) == spec["parallelism"] == spec["completions"]
    # After 0 a pod that was asked to go counts as succeeded, and is not started again.
    assert int(flags["stopped_exit_code"]) and job["template"]["spec"]["backoffLimit"] == 0
    assert "Set the six marked lines" in text and text.count("  # set\n") == 6


def test_the_pods_have_their_data_and_memory_to_hand_it_over():
    job, = yaml.safe_load((LAUNCH / "jobset.yaml").read_text())["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    container, = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert set(mounts.values()) == volumes.keys()
    assert volumes[mounts["/dev/shm"]]["emptyDir"] == {"medium": "Memory"}
    given = {variable["name"]: variable["value"] for variable in container["env"]}
    for name in ("TFDS_DATA_DIR", "JAX_COMPILATION_CACHE_DIR"):
        assert given[name].startswith("/shared/") and "/shared" in mounts


@pytest.mark.parametrize("command", ["", *TRAININGS])
@pytest.mark.parametrize("words", [[], ["--config.seed=1", "--data=/my videos"]], ids=len)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_runs_the_training_that_is_named(script, words, command, tmp_path):
    """With the data, the shared cache, and the words behind it, none more."""
    write_program(tmp_path / "bin/python", TOLD)
    write_program(tmp_path / "bin/srun", SRUN)
    write_program(tmp_path / "bin/gcloud", GCLOUD)
    write_program(tmp_path / "deps_jax/.venv/bin/python", TOLD)  # in the home of a TPU's host
    chosen = {"COMMAND": command} if command else {}
    ended = subprocess.run(
        ["bash", script, *words], capture_output=True, text=True, check=False,
        env={**WHERE, **chosen, "PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path)})
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout.splitlines()
    assert said[:2] == ["TFDS_DATA_DIR=/shared/data sets",
                        "JAX_COMPILATION_CACHE_DIR=/shared/runs/compiled"]
    given = [word.strip("<>") for word in said[2:]]
    assert given == ["-m", f"launch.{command or 'train_supernet'}",
                     *["--distributed=on"] * (script.name == "tpu_pod.sh"), "--config",
                     WHERE["CONFIG"], "--workdir", WHERE["WORKDIR"], *words]


@pytest.mark.parametrize("command", TRAININGS)
def test_what_is_named_may_be_several_processes(command):
    assert "run(main, together=True)" in (LAUNCH / f"{command}.py").read_text()


@pytest.mark.long
def test_slurm_trains_with_two_tasks(tmp_path):
    """What `srun` would do, on this machine: both meet, and one run comes to its end."""
    from deps_jax.common.loop import writer
    from deps_jax.common.loop.run import saved

    write_program(tmp_path / "bin/srun", SRUN_OF_TWO)
    write_program(tmp_path / "bin/python", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    flags = os.environ["XLA_FLAGS"].replace("device_count=2", "device_count=1")
    ended = subprocess.run(
        ["bash", SCRIPTS[0], "--config.training.epochs=2.0"], capture_output=True, text=True,
        check=False, cwd=LAUNCH.parent, timeout=900,
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "XLA_FLAGS": flags,
             "SLURM_JOB_ID": str(os.getpid()), "CONFIG": WHERE["CONFIG"],
             "WORKDIR": str(tmp_path / "run")})
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("deps: 10 steps of 20 out of 100 images") == 1  # the first alone
    assert saved(tmp_path / "run").latest_step() == 10
    steps = [line["step"] for line in writer.read(tmp_path / "run") if "loss" in line]
    assert steps == [*range(1, 11)]
