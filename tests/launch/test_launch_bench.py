"""The benchmark as a command, on a space of two blocks."""
import json
import math

import pytest
from launch_here import ROOT, launch_here

from configs.deps_imagenet import get_config
from deps_jax.reference.bench_report import text
from deps_jax.reference.scaling_page import PAGES, documented
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


def test_the_benchmark_of_data_does_what_the_imagenet_config_does():
    code, said, _ = launch_here("bench_data", "--seconds", "0.2", "--images_per_second", "100")
    policy = get_config().data.policy
    assert code == 0 and policy and f"\n{policy} " in said
    per_core = int(said.rpartition("--images_per_core ")[2])
    assert f"100 images a second take {math.ceil(100 / per_core)} such cores" in said


def test_the_plan_prints_what_the_pages_hold():
    found = [documented((ROOT / path).read_text())[0] for path in PAGES.values()]
    code, said, err = launch_here("scaling_plan", f"--images_per_core={found[0][1]:g}")
    assert code == 0, err
    assert said == "".join(f"{body.strip()}\n\n" for _, _, body in found).removesuffix("\n")
    assert launch_here("scaling_plan", "--chips=h200")[0] == 2
