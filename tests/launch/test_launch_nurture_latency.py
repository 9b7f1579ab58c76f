"""The command that times the networks of a once-for-all training, of which none is trained here."""
import json
import zipfile

import pytest

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
from launch_here import launch_here

from configs import nurture_once
from deps_jax.common.files import workdir
from deps_jax.export.device_timer import describe_device
from deps_jax.search.latency import LatencyTable
from nurture_jax.deploy.clip_latency import ToTime, model_name, timed_names
from nurture_jax.runs.bench import SCALING
from nurture_jax.training.model_file import MODEL


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A folder as the training has it before its first step."""
    folder = tmp_path_factory.mktemp("runs") / "once"
    config = nurture_once.get_config("runlocal")
    config.data.dir, config.space.depths = "nowhere", (1,)
    workdir.claim(folder, config.to_dict(), records={MODEL: {"standard": SCALING.plain()}})
    return folder


@pytest.fixture(scope="module")
def here(once):
    """The table of this machine, and what was said."""
    code, out, err = launch_here("nurture_latency", f"--workdir={once}", "--rounds=1")
    assert code == 0, err
    return once / "latency_table.json", out


def test_a_table_of_this_machine(once, here):
    path, out = here
    table, asked = LatencyTable.load(path), ToTime.of_run(once)
    frames = asked.clip.frames
    names = [model_name(frames, asked.network.settings, name) for part in timed_names(
        asked.plan.space) for name in part]
    assert set(names) <= table.latencies.keys() and table.device == describe_device(1)
    assert f"a clip of {frames} frames: " in out and str(path) in out


def test_a_kit_and_its_timings_give_the_same_table(once, here, tmp_path):
    """As a phone would send them back, with those of this machine."""
    table = LatencyTable.load(here[0])
    code, _, err = launch_here("nurture_latency", f"--workdir={once}",
                               f"--kit={tmp_path / 'kit.zip'}")
    assert code == 0, err
    with zipfile.ZipFile(tmp_path / "kit.zip") as kit:
        names = json.loads(kit.read("models/names.json"))
        assert "device_timer.py" in kit.namelist()
    assert set(names.values()) == set(table.latencies)
    timings = tmp_path / "timings.json"
    timings.write_text(json.dumps({"device": table.device, "latencies": table.latencies}))
    code, _, err = launch_here("nurture_latency", f"--workdir={once}", f"--timings={timings}",
                               f"--out={tmp_path / 'phone.json'}")
    assert code == 0, err
    assert LatencyTable.load(tmp_path / "phone.json") == table
    without = {name: ms for name, ms in table.latencies.items() if not name.startswith("clip")}
    timings.write_text(json.dumps({"device": table.device, "latencies": without}))
    code, _, err = launch_here("nurture_latency", f"--workdir={once}", f"--timings={timings}")
    assert code == 2 and "the latency table has no 'clip of 2 frames, " in err


@pytest.mark.parametrize("command", [("cut_nurture", "--subnet=d9", "--out=x"),
                                     ("nurture_subnets", "--subnets=smallest,d9")])
def test_a_subnet_that_there_is_not_is_refused_before_the_data_is_looked_for(once, command):
    code, _, err = launch_here(command[0], f"--workdir={once}", *command[1:])
    assert code == 2 and "depth 9 is not in the depths" in err


@pytest.mark.parametrize("command", [("cut_nurture", "--max_latency_ms=5", "--out=x"),
                                     ("nurture_subnets",)])
@pytest.mark.parametrize(("table", "message"), [
    ("nothing.json", "nothing.json does not exist"), ("{}/config.json", "is not a latency table")])
def test_a_wrong_table_is_refused_before_the_data_is_looked_for(once, command, table, message):
    code, _, err = launch_here(command[0], f"--workdir={once}", *command[1:],
                               f"--table={table.format(once)}")
    assert code == 2 and message in err and "nowhere" not in err
