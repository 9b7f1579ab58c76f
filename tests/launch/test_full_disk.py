"""A disk that is really full in the middle of each command; nothing is lost, one sentence is told.

Every command runs on a disk (a tmpfs of few bytes) that has room for a part of what it writes, then
again when there is room. Whatever was there before must be as it was, and in the end all is there.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from damages import contents, steps_of
from launch_here import ROOT, launch_here
from small_disk import small_disk

from deps_jax.common.compiled.freed import free_programs

pytestmark = pytest.mark.long
PARTS = (0.0, 0.2, 0.45, 0.7, 0.95)  # of what a command writes, that the disk has room for
FEWER_PARTS = (0.0, 0.45, 0.95)  # where every run trains
GROWING = ("metrics.jsonl", "goodput.jsonl", "measurements.jsonl", "audit.jsonl")  # by whole lines
# Locks stay, and names of files of events and of checkpoints differ from run to run.
UNNAMED = (".lock", ".part", "/d/", "tensorboard/", "/ocdbt.process_0/")


@pytest.fixture(autouse=True)
def _programs_end_with_their_test():
    """Every command is run a dozen times in this process, and compiles again each time."""
    yield
    free_programs()


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    with small_disk(tmp_path_factory.mktemp("disk") / "small") as made:
        yield made


def named(files):
    return {name for name in files if not any(part in name for part in UNNAMED)}


def told_in_one_sentence(err):
    told = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert "Traceback" not in err and len(told) == 1, err
    assert "is full" in told[0] or "MB free" in told[0], err
    return told[0]


def full_then_free(disk, prepare, command, parts=PARTS, success=0):
    """Runs a command on disks that are too small, and again on one that is not.

    Args:
      prepare: Called with the folder on the disk; writes what the command begins with.
      command: Called with the folder on the disk; gives the arguments of `launch_here`.
      success: Exit code of the command where there is room.

    Returns:
      The sentences that were told.
    """
    def begin():
        disk.empty()
        disk.inside.mkdir()
        prepare(disk.inside)
        return disk.used(), contents(disk.inside)

    def run():
        return launch_here(*map(str, command(disk.inside)))

    before, _ = begin()
    code, _, err = run()
    assert code == success, err
    needed, whole, told = disk.used() - before, contents(disk.inside), []
    for part in parts:
        _, there = begin()
        disk.resize(before + int(part * needed))
        code, _, err = run()
        if code != success:
            assert code == 2, err
            told.append(told_in_one_sentence(err))
            left = contents(disk.inside)
            for name, content in there.items():
                if name.endswith(GROWING):
                    assert left[name].startswith(content) and left[name].endswith(b"\n"), name
                elif name in named(there):
                    assert left.get(name) == content, name
            disk.resize()
            code, _, err = run()
            assert code == success, err
        assert named(contents(disk.inside)) == named(whole)
        assert not [name for name in contents(disk.inside) if name.endswith(".part")]
    assert told, f"{needed} bytes fitted every time"
    return told


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from tiny_run import tiny_config
    from tiny_spaces import save_run

    folder = tmp_path_factory.mktemp("runs") / "whole"
    save_run(folder, tiny_config())
    return folder


AFTER_TRAINING = (
    ["evaluate_subnets", "--workdir={}/run"],
    ["export_subnet", "--workdir={}/run", "--subnet=d1e1", "--images=20"],
    ["export_subnet", "--workdir={}/run", "--subnet=d1e1", "--format=stablehlo", "--images=20"],
    ["export_subnet", "--workdir={}/run", "--subnet=d1e1", "--precision=int8_static",
     "--images=20"],
    ["latency_table", "--workdir={}/run", "--rounds=1"],
    ["latency_table", "--workdir={}/run", "--kit={}/kit.zip"],
    ["search", "--workdir={}/run", "--population=4", "--generations=1", "--front=2"],
    ["specialize", "--workdir={}/run", "--max_macs=1e9", "--measured=20", "--images=20"],
)


@pytest.mark.parametrize("command", AFTER_TRAINING, ids=" ".join)
def test_after_training(disk, trained, command):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
    full_then_free(disk, lambda inside: shutil.copytree(trained, inside / "run"),
                   lambda inside: [text.format(inside) for text in command])


def test_training_a_supernet(disk):
    config = (f"--config={ROOT}/configs/deps_digits.py:tiny", "--config.training.epochs=2.0",
              "--config.cadence.checkpoint_every=4")
    full_then_free(disk, lambda _: None,
                   lambda inside: ("train_supernet", *config, f"--workdir={inside}/run"),
                   parts=FEWER_PARTS)


def test_a_subnet_trained_alone(disk, trained):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
    full_then_free(disk, lambda inside: shutil.copytree(trained, inside / "run"), lambda inside: (
        "finetune_subnet", f"--workdir={inside}/run", "--subnet=d1e1", "--epochs=1",
        f"--out={inside}/alone"), parts=FEWER_PARTS)


def test_temporary_files_have_no_room(disk, trained, tmp_path, monkeypatch):
    """int8_static goes through files of onnxruntime's own."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
    disk.empty()
    disk.inside.mkdir()
    disk.resize(8192)
    monkeypatch.setattr(tempfile, "tempdir", str(disk.inside))
    run = shutil.copytree(trained, tmp_path / "run")
    code, _, err = launch_here("export_subnet", f"--workdir={run}", "--subnet=d1e1",
                               "--precision=int8_static", "--images=20")
    assert code == 2, err
    told_in_one_sentence(err)
    assert not list(disk.inside.iterdir())


@pytest.fixture(scope="module")
def newborns(tmp_path_factory):
    for package in ("av", "pycocotools", "pygrowup"):
        pytest.importorskip(package, reason=f"{package} is not installed (extra 'nurture')")
    from make_records import write_records

    return write_records(tmp_path_factory.mktemp("data") / "set", infants=22, marks=False)


def training(folder, data):
    from nurture_flags import CONFIG

    return ("train_nurture", *CONFIG, "--config.cadence.checkpoint_every=4", f"--data={data}",
            f"--workdir={folder}")


@pytest.fixture(scope="module")
def estimating(newborns, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "newborns"
    for command in (training(folder, newborns), ("evaluate_nurture", f"--workdir={folder}")):
        code, _, err = launch_here(*command)
        assert code == 0, err
    return folder


def test_training_nurturenet(disk, newborns):
    full_then_free(disk, lambda _: None, lambda inside: training(inside / "run", newborns))


def test_training_nurturenet_once(disk, newborns):
    config = (f"--config={ROOT}/configs/nurture_once.py:runlocal", "--config.negatives.share=0.0",
              "--config.data.validation_fraction=0.25", "--config.data.calibration_fraction=0.0",
              "--config.data.test_fraction=0.125", "--config.cadence.checkpoint_every=12",
              "--config.training.epochs=3.0", f"--data={newborns}")
    full_then_free(disk, lambda _: None,
                   lambda inside: ("train_nurture_once", *config, f"--workdir={inside}/run"),
                   parts=(0.45,))


@pytest.mark.parametrize("filled", [0, 4, 8])
def test_a_disk_that_another_fills_while_nurturenet_trains(disk, newborns, estimating, filled,
                                                           monkeypatch):
    """The run goes on from the last whole checkpoint, to the bits of an undisturbed one."""
    from deps_jax.common.loop.checkpoint import Checkpoints
    from nurture_jax.runs.inference import TrainedNurture

    disk.empty()
    disk.inside.mkdir()
    save = Checkpoints.save

    def then_full(checkpoints, step, *rest, **more):
        if checkpoints.folder.name == "checkpoints" and step > filled:
            disk.resize(disk.used())
        save(checkpoints, step, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", then_full)
        code, _, err = launch_here(*training(disk.inside / "run", newborns))
    assert code == 2, err
    sentence = told_in_one_sentence(err)
    steps = disk.inside / "run" / "checkpoints"
    assert ("nothing was saved before" if not filled else f"step {filled} is kept") in sentence
    assert not filled or steps_of(steps)[-1] == filled
    disk.resize()
    code, _, err = launch_here(*training(disk.inside / "run", newborns))
    assert code == 0 and "is damaged" not in err, err
    assert TrainedNurture.open(disk.inside / "run").sha256 == TrainedNurture.open(estimating).sha256


def film(inside, **size):
    from make_videos import write_video

    images = np.random.default_rng(0).integers(60, 200, (12, 64, 48, 3), np.uint8)
    write_video(inside / "v.mp4", times_s=np.arange(12) / 10, width=48, height=64, images=images)


AFTER_NURTURENET = (
    ["evaluate_nurture", "--workdir={}/run"],
    ["export_nurture", "--workdir={}/run", "--max_megabytes=1"],
    ["predict_nurture", "--workdir={}/run", "--video={}/v.mp4", "--audit={}/audit.jsonl",
     "--picture={}/seen.png", "--age_days=7", "--birth_weight_g=2850", "--sex=F"],
    ["try_gate", "--workdir={}/run", "--photos={}/photos", "--clips=1", "--kinds=noise"],
)


@pytest.mark.parametrize("command", AFTER_NURTURENET, ids=lambda command: command[0])
def test_after_training_nurturenet(disk, estimating, command):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")

    def prepare(inside):
        shutil.copytree(estimating, inside / "run")
        (inside / "photos").mkdir()
        film(inside)
        shutil.copy(inside / "v.mp4", inside / "photos" / "v.mp4")
        (inside / "audit.jsonl").write_text('{"earlier": 1}\n')

    full_then_free(disk, prepare, lambda inside: [text.format(inside) for text in command])


@pytest.mark.parametrize("command", [
    ["annotation_frames", "--data={data}", "--out={}/pictures", "--per_video=1"],
    ["reference_card", "--out={}/card.pdf"],
], ids=lambda command: command[0])
def test_commands_without_a_run(disk, newborns, command):
    full_then_free(disk, lambda _: None,
                   lambda inside: [text.format(inside, data=newborns) for text in command])


def test_decoded_clips(disk, newborns):
    """The cache of clips goes on with the first part that is missing."""
    from deps_jax.common.files.sealed import FullDisk
    from nurture_jax import records
    from nurture_jax.clips import clip_cache
    from nurture_jax.records.video import ClipSettings

    found, settings = records.load(newborns), ClipSettings(frames=2, size=64)
    whole = clip_cache.build(found, newborns.parent / "cache", settings, visits_per_shard=4)
    disk.empty()
    disk.inside.mkdir()
    disk.resize(160 * 1024)
    with pytest.raises(FullDisk, match="the parts that are complete are kept"):
        clip_cache.build(found, disk.inside, settings, visits_per_shard=4)
    own = clip_cache.own_folder(disk.inside, settings)
    assert not list(own.glob("*.part"))
    kept = {path: os.stat(path).st_mtime_ns for path in own.glob("*.json")}
    disk.resize()
    again = clip_cache.build(found, disk.inside, settings, visits_per_shard=4)
    assert {path: os.stat(path).st_mtime_ns for path in kept} == kept
    np.testing.assert_array_equal(again[0].images, whole[0].images)
    assert len(again) == len(whole)


WITH_WORKERS = """
import sys
import numpy as np
from deps_jax.common.command.cli import run
from deps_jax.common.loop.batches import Batches

class Large:
    def __len__(self):
        return 64
    def __getitem__(self, index):
        return {"image": np.zeros((512, 512, 4), np.uint8)}

def main(_):
    next(Batches(Large(), 8, 0, workers=1))

if __name__ == "__main__":
    run(main)
"""


def test_shared_memory_has_no_room(tmp_path):
    """Workers hand batches over in /dev/shm, which containers make small."""
    (tmp_path / "reading.py").write_text(WITH_WORKERS)
    small = "mount -t tmpfs -o size=2m tmpfs /dev/shm"
    alone = ["unshare", "-m", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*alone, small], check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    ended = subprocess.run([*alone, f"{small} && exec {sys.executable} {tmp_path}/reading.py"],
                           cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
                           capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "error: the shared memory of this machine (/dev/shm)" in ended.stderr


def test_rendered_videos(disk):
    pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
    from nurture_jax.synthetic.__main__ import main

    disk.empty()
    settings = ["--infants=2", "--visits_per_infant=1", "--seconds=1", "--short_sides_px=64",
                "--fps=4", "--workers=1", "--annotated_frames=1"]
    assert main([f"--out={disk.folder / 'whole'}", *settings]) == 0
    whole = contents(disk.folder / "whole")
    disk.empty()
    disk.resize(24 * 1024)
    assert main([f"--out={disk.inside}", *settings]) == 2
    disk.resize()
    assert main([f"--out={disk.inside}", *settings]) == 0
    assert contents(disk.inside) == whole


