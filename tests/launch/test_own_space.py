"""A block, a space and a method from outside the package, as the docs show them."""
import json
import re

import pytest
from launch_here import ROOT, launch_here

pytestmark = pytest.mark.long  # whole commands, which compile networks of their own
CONFIG = f"{ROOT}/configs/deps_digits.py:tiny"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes the only Python of a page into a module: (page, module) -> text of the page."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(page, module):
        text = (ROOT / "docs" / page).read_text()
        (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        (tmp_path / f"{module}.py").write_text(code)
        return text

    return write


def test_a_space_of_own_blocks_trains_reports_and_exports(written, tmp_path):
    run = tmp_path / "run"
    assert "--config.space.family=my_space:SPACE --workdir" in written("families.md", "my_space")
    code, _, errors = launch_here("train_supernet", "--config", CONFIG,
                                  "--config.space.family=my_space:SPACE", f"--workdir={run}")
    assert code == 0, errors
    (tmp_path / "my_space.py").unlink()  # the folder of a run holds what it needs
    code, table, errors = launch_here("evaluate_subnets", f"--workdir={run}")
    assert code == 0 and {"d1e1k3", "d1e2k3"} <= set(table.split()), errors
    code, said, errors = launch_here("export_subnet", f"--workdir={run}", "--subnet=smallest",
                                     "--precision=fp32")
    assert code == 0 and "NOT OK" not in said, errors
    assert said.splitlines()[-1].startswith(("OK", "UNSURE: top-1"))  # of forty images


def test_an_own_method_trains_and_is_in_the_report(written, tmp_path):
    run = tmp_path / "run"
    assert "configs/deps_digits.py:my_method:METHOD --workdir" in written("methods.md", "my_method")
    code, _, errors = launch_here("train_supernet", "--config", f"{CONFIG},my_method:METHOD",
                                  f"--workdir={run}")
    assert code == 0, errors
    code, _, errors = launch_here("evaluate_subnets", f"--workdir={run}")
    assert code == 0, errors
    report = (run / "report.html").read_text()
    assert "halved" in report and "aggregation" in report
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any("subnet_loss" in step for step in steps[:1])
