"""What holds for the tree as a whole."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_lint():
    command = [sys.executable, "-m", "ruff", "check", "--config", "tests/ruff.toml", "."]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", sorted(
    p for d in ("deps_jax", "nurture_jax", "configs", "launch", "tests")
    for p in ROOT.glob(f"{d}/**/*.py")),
    ids=lambda p: p.name)
def test_files_are_read_in_one_sitting(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 400
    assert len(lines) <= 60 or path.parent != ROOT / "launch"
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 80, node.name
