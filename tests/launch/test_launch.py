"""Command lines as a user meets them: exit codes and the one sentence of bad input."""
import subprocess
import sys

import pytest
from launch_here import ROOT, launch_here


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch):
    """Where a user is, whose paths to configs are relative."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--config", "configs/deps_digits.py", "--config.optimizer.learning_rat=1"], "learning_rat"),
    (["--config", "configs/deps_digits.py", "--config.training.epochs=many"], "many"),
    (["--config", "configs/nothing.py"], "nothing.py"),
    (["--config", "configs/deps_digits.py:fast"], "takes no option 'fast'"),
    (["--config", "configs/deps_digits.py", "--config.space.depths=()"], "depths is empty"),
    (["--config", "configs/deps_cifar10.py", "--config.data.dir=/nowhere"], "/nowhere"),
    (["--workdri", "x"], "workdri"),
    ([], "--config is missing (config file, FILE.py or FILE.py:OPTION); see"),
    (["--config", "docs/method.md"], "docs/method.md, line 23: unterminated string literal"),
    (["--config", "docs/results/compare_cifar10/deps-seed0.json"],
     "name 'false' is not defined; a config is a Python file that has get_config"),
    (["--config", "docs/images/page_curve.png"], "null bytes; a config is a Python file"),
    (["--config", "configs"], "Is a directory: 'configs'"),
    (["--config", "configs/nurture.py"], "others that are given; is it of another command or kind"),
])
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, message, tmp_path):
    code, _, said = launch_here("train_supernet", "--workdir", str(tmp_path / "run"), *arguments)
    assert code == 2, said
    assert message in said and "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_config_needs_get_config(tmp_path):
    """As a process of its own: in this one the module of an earlier config would be found."""
    result = subprocess.run([sys.executable, "-m", "launch.train_supernet", "--config",
                             "launch/__init__.py", "--workdir", str(tmp_path / "run")],
                            capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == ("error: the file of --config has no get_config; a config is a Python "
                             "file that has get_config, such as configs/deps_digits.py\n")


def test_evaluation_needs_a_run(tmp_path):
    """As a process of its own, as a user starts it."""
    result = subprocess.run([sys.executable, "-m", "launch.evaluate_subnets", "--workdir",
                             str(tmp_path)], capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "holds no experiment" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(("arguments", "message"), [
    (["--photos=nowhere", "--weights=nothing.pth"], "--weights nothing.pth does not exist"),
    (["--photos=nowhere", "--weights=README.md"], "README.md is not an .npz or a zipped PyTorch"),
    (["--photos=nowhere", "--weights=docs"], "docs holds no experiment"),
    (["--photos=docs"], "--weights is missing"),
    (["--photos=docs", "--weights=docs", "--epochs=many"], "many"),
])
def test_own_photos_refuse_in_one_sentence(arguments, message, tmp_path):
    code, _, said = launch_here("own_photos", "--workdir", str(tmp_path / "run"), *arguments)
    assert code == 2, said
    assert "Traceback" not in said and not (tmp_path / "run").exists()
    assert message in said or "Flag --weights must have a value" in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(("module", "arguments", "message"), [
    ("search", ["--max_latency_ms=5"], "a latency needs --table"),
    ("search", ["--resolutions=24,big"], "holds what is no whole number"),
    ("search", ["--table=nothing.json"], "nothing.json does not exist"),
    ("specialize", ["--max_macs=many"], "many"),
    ("specialize", ["--max_macs=1e6"], "holds no experiment"),
    ("export_subnet", ["--subnet=d2e3", "--front=nothing.json"], "nothing.json does not exist"),
    ("export_subnet", ["--subnet=d2e3", "--out=README.md"], "README.md is a file; give a folder"),
    ("export_subnet", ["--subnet=d2e3", "--images=-1"], "images=-1"),
    ("export_nurture", ["--out=README.md"], "README.md is a file; give a folder"),
    ("search", ["--out=README.md"], "README.md is a file; give a folder"),
    ("search", ["--images=-1"], "images=-1"),
    ("search", ["--measured=19"], "measured 19 is too few subnets to learn accuracies"),
    ("search", ["--measured=0", "--direct"], "holds no experiment"),
    ("specialize", ["--measured=0"], "measured 0 is too few subnets"),
    ("specialize", ["--out=README.md"], "README.md is a file; give a folder"),
    ("latency_table", ["--resolution=0"], "resolution=0"),
    ("latency_table", ["--out=nowhere/table.json"], "there is no folder nowhere"),
    ("latency_table", ["--out=table.png"], "table.png does not end with .json; give a"),
    ("finetune_subnet", ["--subnet=d2e3", "--out=x", "--epochs=0"], "epochs 0 and rate"),
    ("finetune_subnet", ["--subnet=d2e3", "--out=README.md"], "README.md is a file; give a folder"),
    ("cut_nurture", ["--subnet=d2", "--out=README.md"], "README.md is a file; give a folder"),
    ("train_nurture", ["--config=configs/nurture.py:demo", "--data=docs",
                       "--config.data.fit=stretch"], "fit 'stretch' is unknown"),
    ("train_nurture_once", ["--config=configs/nurture_once.py:demo", "--data=docs",
                            "--config.data.size=4"], "size 4 px are too small"),
    ("cut_nurture", ["--out=x"], "give one of --subnet, --max_mmacs and --max_latency_ms"),
    ("cut_nurture", ["--out=x", "--subnet=d2", "--max_mmacs=3"], "give one of --subnet"),
    ("cut_nurture", ["--out=x", "--max_latency_ms=5"], "belong together: give both"),
    ("cut_nurture", ["--out=x", "--subnet=d2", "--table=t.json"], "belong together: give both"),
    ("nurture_latency", [], "holds no experiment"),
    ("compare_nurture_once", ["--config=configs/nurture_once.py:runlocal", "--data=x",
                              "--seeds=one"], "--seeds holds 'one'"),
])
def test_after_training_too(module, arguments, message, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    pytest.importorskip("av", reason="needs the extra nurture")
    code, _, said = launch_here(module, "--workdir", str(tmp_path / "run"), *arguments)
    assert code == 2, said
    assert message in said and "Traceback" not in said


@pytest.mark.parametrize(("runs", "message"), [
    ("one=a;one=b", "--runs holds 'one=b'; give NAME=FOLDER,FOLDER for each method"),
    ("a,b", "--runs holds 'a,b'; give NAME=FOLDER"),
    ("one=a,", "--runs holds 'one=a,'; give NAME=FOLDER"),
    ("one=nowhere", "predictions.csv does not exist; evaluate the run"),
])
def test_runs_side_by_side_need_names_and_evaluations(runs, message, tmp_path):
    code, _, said = launch_here("compare_nurture_runs", "--runs", runs,
                                "--out", str(tmp_path / "x"))
    assert code == 2 and message in said and len(said.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()


EXTRAS = {**dict.fromkeys(("bench_search", "export_nurture", "export_subnet", "finetune_subnet",
                           "latency_table", "nurture_latency", "search", "specialize"), "export"),
          **dict.fromkeys(("annotation_frames", "annotator_agreement", "bench_nurture", "build_app",
                           "compare_nurture_once", "count_programs", "cut_nurture",
                           "evaluate_nurture", "import_annotations", "nurture_ablation",
                           "nurture_subnets",
                           "predict_nurture", "predict_nurture_table", "train_nurture",
                           "train_nurture_once", "try_gate"), "nurture")}


def test_a_missing_extra_is_named_and_others_do_without():
    modules = sorted(path.stem for path in (ROOT / "launch").glob("*.py")
                     if path.stem not in ("__init__", "search_flags"))
    code = """
import runpy, sys
from absl import flags

for package in ("av", "onnx", "onnxruntime", "pycocotools", "pygrowup", "pymoo"):
    sys.modules[package] = None
for module in sys.argv[1:]:
    before = set(flags.FLAGS)
    try:
        runpy.run_module(f"launch.{module}")
        print("imported")
    except SystemExit as stop:
        print(stop.code)
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
"""
    result = subprocess.run([sys.executable, "-c", code, *modules], cwd=ROOT, capture_output=True,
                            text=True, check=False)
    outcomes = dict(zip(modules, result.stdout.split(), strict=True))
    assert outcomes == {module: "2" if module in EXTRAS else "imported" for module in modules}
    for line, module in zip(result.stderr.splitlines(), (m for m in modules if m in EXTRAS),
                            strict=True):
        package = line.split()[1]
        assert line == (f"error: {package} is not installed; install the extra that holds it: pip "
                        f"install 'deps-jax[{EXTRAS[module]}]'")
