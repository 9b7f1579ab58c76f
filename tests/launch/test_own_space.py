"""A block and a space from outside the package, as docs/families.md shows them."""
import re

import pytest
from launch_here import ROOT, launch_here

pytestmark = pytest.mark.long  # whole commands, which compile networks of their own
TEXT = (ROOT / "docs" / "families.md").read_text()
CONFIG = f"{ROOT}/configs/deps_digits.py:tiny"


@pytest.fixture
def own_space(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "my_space.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_it_trains_reports_and_exports(own_space):
    run = own_space / "run"
    assert re.search(r"--config.space.family=my_space:SPACE --workdir", TEXT)
    code, _, errors = launch_here("train_supernet", "--config", CONFIG,
                                  "--config.space.family=my_space:SPACE", f"--workdir={run}")
    assert code == 0, errors
    (own_space / "my_space.py").unlink()  # the folder of a run holds what it needs
    code, table, errors = launch_here("evaluate_subnets", f"--workdir={run}")
    assert code == 0 and {"d1e1k3", "d1e2k3"} <= set(table.split()), errors
    code, said, errors = launch_here("export_subnet", f"--workdir={run}", "--subnet=smallest",
                                     "--precision=fp32")
    assert code == 0 and "OK" in said, errors
