"""Command lines as a user meets them: exit codes and the one sentence of bad input."""
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def launch(module, *arguments):
    return subprocess.run([sys.executable, "-m", f"launch.{module}", *arguments], cwd=ROOT,
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--config", "configs/deps_digits.py", "--config.optimizer.learning_rat=1"], "learning_rat"),
    (["--config", "configs/deps_digits.py", "--config.training.epochs=many"], "many"),
    (["--config", "configs/nothing.py"], "nothing.py"),
    (["--config", "configs/deps_digits.py:fast"], "takes no option 'fast'"),
    (["--config", "configs/deps_digits.py", "--config.space.depths=()"], "depths is empty"),
    (["--config", "configs/deps_cifar10.py", "--config.data.dir=/nowhere"], "/nowhere"),
    (["--workdri", "x"], "workdri"),
])
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, message, tmp_path):
    result = launch("train_supernet", "--workdir", str(tmp_path / "run"), *arguments)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr and "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_evaluation_needs_a_run(tmp_path):
    result = launch("evaluate_subnets", "--workdir", str(tmp_path))
    assert result.returncode == 2 and "holds no experiment" in result.stderr
