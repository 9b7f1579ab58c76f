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


# No file imports one to its right: the file list reads as the method.
FLOW = ("search_space", "subnet", "layers", "dispatch", "depthwise", "elastic", "supernet",
        "distill", "methods", "shrink", "masks", "sort", "train", "evaluate", "run_records",
        "experiment", "evaluate_run", "network", "onnx_writer", "candidate", "cost", "latency",
        "measured", "predictor", "search", "search_run", "export", "export_front", "specialize",
        "finetune")


def is_module(name: str) -> bool:
    return ROOT.joinpath(*name.split(".")).with_suffix(".py").is_file()


def imports(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


@pytest.mark.parametrize("path", sorted(ROOT.glob("deps_jax/**/*.py")), ids=lambda p: p.name)
def test_imports_point_one_way(path):
    names, place = imports(path), path.relative_to(ROOT).parts
    assert not any(name.startswith("nurture_jax") for name in names)
    assert not any(name.startswith(("absl", "ml_collections")) for name in names) \
        or place[1:] == ("common", "command", "cli.py")
    if place[1] == "common":
        assert all(name.startswith("deps_jax.common") for name in names
                   if name.startswith("deps_jax"))
    if path.stem in FLOW:
        later = set(FLOW[FLOW.index(path.stem) + 1:])
        assert not {name.rpartition(".")[2] for name in names
                    if name.startswith("deps_jax") and is_module(name)} & later


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
