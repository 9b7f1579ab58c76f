"""The comparison's command line: what it refuses, before it trains or leaves anything."""
import pytest
from launch_here import ROOT, launch_here

CONFIG = "configs/compare_cifar10.py"


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch):
    """Where a user is, whose paths to configs are relative."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "--config is missing"),
    ([f"--config={CONFIG}:depss"], "takes no option 'depss'"),
    ([f"--config={CONFIG}:digits", "--config.chosen=('deps','depss')"], "run 'depss' is unknown"),
    ([f"--config={CONFIG}:digits,ofa", "--config.budget_epochs=0.2"],
     "budget_epochs 0.2 does not do for run 'ofa'"),
    ([f"--config={CONFIG}", "--config.base.data.dir=/nowhere"], "/nowhere"),
    (["--report_only"], "holds no experiment"),
])
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, message, tmp_path):
    code, _, said = launch_here("compare", "--out", str(tmp_path / "out"), *arguments)
    assert code == 2, said
    assert message in said and "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
