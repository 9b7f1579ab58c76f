"""A disk that is really full in the middle of each command; nothing is lost, one sentence is told.

Every command runs on a disk (a tmpfs of few bytes) that has room for a part of what it writes, then
again when there is room. Whatever was there before must be as it was, and in the end all is there.
"""
import json
import shutil

import numpy as np
import pytest
from damages import contents
from launch_here import launch_here
from small_disk import small_disk

pytestmark = pytest.mark.long
PARTS = (0.0, 0.2, 0.45, 0.7, 0.95)  # of what a command writes, that the disk has room for


def full_then_free(disk, prepare, command, parts=PARTS, again=0):
    """Runs a command on disks that are too small, and again on one that is not; how often it failed.

    Args:
      prepare: Called with the folder on the disk; writes what the command begins with.
      command: Called with the folder on the disk; gives the arguments of `launch_here`.
      again: Exit code of the command where there is room.
    """
    def begin():
        disk.empty()
        disk.inside.mkdir()
        prepare(disk.inside)
        return disk.used()

    before = begin()
    code, _, err = launch_here(*map(str, command(disk.inside)))
    assert code == again, err
    needed, whole, failed = disk.used() - before, contents(disk.inside), 0
    for part in parts:
        begin()
        there = contents(disk.inside)
        disk.resize(before + int(part * needed))
        code, out, err = launch_here(*map(str, command(disk.inside)))
        print(f"{part}: {code} {err[-300:]}")
        if code != again:
            failed += 1
            assert code == 2 and "Traceback" not in err, err
            told = [line for line in err.replace("\r", "\n").splitlines()
                    if line.startswith("error: ")]
            assert len(told) == 1 and ("is full" in told[0] or "MB free" in told[0]), err
            left = contents(disk.inside)
            assert not [name for name in there if left.get(name) != there[name]]
            assert not [name for name in left if name.endswith(".part")]
            disk.resize()
            code, out, err = launch_here(*map(str, command(disk.inside)))
            assert code == again, err
        assert contents(disk.inside).keys() == whole.keys()
    return failed


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    with small_disk(tmp_path_factory.mktemp("disk") / "small") as made:
        yield made


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from tiny_run import tiny_config
    from tiny_spaces import save_run

    folder = tmp_path_factory.mktemp("runs") / "whole"
    save_run(folder, tiny_config())
    return folder


@pytest.mark.parametrize("command", [
    ["evaluate_subnets", "--workdir={}/run"],
    ["export_subnet", "--workdir={}/run", "--subnet=d1e1", "--images=20"],
    ["export_subnet", "--workdir={}/run", "--subnet=d1e1", "--format=stablehlo", "--images=20"],
    ["export_subnet", "--workdir={}/run", "--subnet=d1e1", "--precision=int8_static", "--images=20"],
    ["latency_table", "--workdir={}/run", "--rounds=1"],
    ["latency_table", "--workdir={}/run", "--kit={}/kit.zip"],
    ["search", "--workdir={}/run", "--population=4", "--generations=1", "--front=2"],
], ids=" ".join)
def test_after_training(disk, trained, command):
    def given(inside):
        return [text.format(inside) for text in command]

    assert full_then_free(disk, lambda inside: shutil.copytree(trained, inside / "run"), given)
