"""The benchmark as a command, on a space of two blocks."""
import json

import pytest
from launch_here import launch_here

from deps_jax.reference.bench_report import text
from deps_jax.space import families
from deps_jax.space.search_space import SearchSpace, Stage

SMALL = SearchSpace(
    name="small", stem_width=8, stem_stride=2, first_width=8, first_residual=True,
    stages=(Stage(8, 1, "relu", False, depths=(1, 2), kernels=(3,), expands=(1, 2)),),
    head_width=16, feature_width=0, num_classes=3, resolution=8)


@pytest.mark.long
def test_the_command_writes_what_it_prints(tmp_path, monkeypatch):
    monkeypatch.setattr(families, "MOBILENET_V3_CIFAR", SMALL)
    code, out, err = launch_here("bench", "--parts=conditionals", "--kernels=3", "--notorch",
                                 f"--out={tmp_path}", "--batch_size=4", "--width_mult=0.5")
    assert code == 0, err
    written = json.loads((tmp_path / "bench.json").read_text())
    assert out == f"{text(written)}\n\nwritten: {tmp_path}/bench.json\n"
    assert written["conditionals"]["space"]["width_mult"] == 0.5
    assert "torch" not in written["machine"]
    assert launch_here("bench", "--parts=all", f"--out={tmp_path}")[0] == 2


def test_the_benchmark_of_searches_says_what_it_lacks(tmp_path):
    code, _, err = launch_here("bench_search", f"--data_dir={tmp_path}", f"--out={tmp_path}")
    assert code == 2 and err.count("\n") == 1 and "holds no tables of measured subnets" in err
    assert launch_here("bench_search", "--parts=all", f"--out={tmp_path}")[0] == 2
