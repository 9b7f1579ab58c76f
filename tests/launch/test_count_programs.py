"""What training steps hold on GPU and TPU is what is recorded, until somebody means a change."""
import json

import pytest
from launch_here import ROOT, launch_here
from tiny_spaces import TWO_STAGES

from deps_jax.reference import bench, program
from deps_jax.space.families import MOBILENET_V3, PROXYLESS_GOOGLE, SPACES

RECORD = ROOT / "docs" / "results" / "lowered_programs.json"
QUICK = ("mobilenet_v3, .*, float32", "(proxyless|resnet50d), full-model step, float32",
         "nurture, bfloat16")


@pytest.fixture(autouse=True)
def published_families_alone(monkeypatch):
    monkeypatch.delitem(SPACES, TWO_STAGES.name, raising=False)


def recorded():
    return json.loads(RECORD.read_text())["programs"]


def check(programs, file=RECORD, *arguments):
    return launch_here("count_programs", f"--only=^({programs})$", f"--file={file}", *arguments)


@pytest.mark.parametrize("programs", [
    *QUICK, pytest.param(f"(?!({'|'.join(QUICK)})$).*", marks=pytest.mark.long)],
    ids=["mobilenet_v3", "other full models", "nurture", "all others"])
def test_counts_are_those_recorded(programs):
    code, out, err = check(programs)
    assert code == 0, out + err


def test_full_models_choose_nothing_and_nothing_is_called_outside_of_xla():
    found = recorded()
    assert len(found) == 2 * (2 * 2 * 5 + 2)
    for name, kinds in found.items():
        assert (kinds["conditionals"] > 0) == ("sandwich" in name)
        assert kinds["custom_calls"] == kinds["other_collectives"] == 0
        assert kinds["all_reduces"] > 0


def test_a_changed_count_is_told_with_the_command_that_records_it(tmp_path, monkeypatch):
    name, true = "proxyless, full-model step, float32", recorded()
    # What is counted is tested above.
    monkeypatch.setattr(bench, "traced_step", lambda *_: None)
    monkeypatch.setattr(program, "counts_by_platform", lambda name, _: {
        f"{name}, {platform}": true[f"{name}, {platform}"] for platform in program.ACCELERATORS})
    content = json.loads(RECORD.read_text())
    content["programs"][f"{name}, cuda"]["loops"] += 1
    del content["programs"][f"{name}, tpu"]["products"]
    file = tmp_path / "counts.json"
    file.write_text(json.dumps(content))
    loops = true[f"{name}, cuda"]["loops"]
    code, out, _ = check(name, file)
    assert code == 1
    assert f"{name}, cuda: loops {loops + 1} -> {loops}\n" in out
    assert f"{name}, tpu: products not recorded -> " in out
    assert out.endswith("python -m launch.count_programs --write\n")
    assert check(name, file, "--write")[0] == 0
    assert file.read_text() == RECORD.read_text()


def test_unknown_programs_and_records_are_refused(tmp_path):
    code, _, err = check("efficientnet")
    assert (code, "none of: mobilenet_v3, full-model step, float32; " in err) == (2, True)
    code, _, err = check("proxyless.*", tmp_path / "counts.json")
    assert (code, "there is no record" in err) == (2, True)


@pytest.mark.parametrize(("space", "like", "devices"), [
    (MOBILENET_V3.with_choices(width_mult=0.25), "mobilenet_v3", 1),
    pytest.param(PROXYLESS_GOOGLE, "proxyless", 2, marks=pytest.mark.long)],
    ids=["a quarter of the width, one device", "other widths"])
def test_counts_depend_neither_on_widths_nor_but_for_collectives_on_devices(space, like, devices):
    name = f"{like}, full-model step, float32"
    expected = {key: value for key, value in recorded().items() if key.startswith(name)}
    if devices == 1:
        expected = {key: {**value, "all_reduces": 0} for key, value in expected.items()}
    assert program.counts_by_platform(name, bench.traced_step(
        space, "full-model step", "float32", devices)) == expected
