"""A finished run, opened on another machine and measured in another type."""
import jax
import pytest
from tiny_run import tiny_config
from tiny_spaces import save_run

from deps_jax.common.files import sealed
from deps_jax.runs.measured import FILE, MeasuredAccuracy
from deps_jax.runs.trained import TrainedRun


def saved(folder, **changes):
    save_run(folder, tiny_config(**{"data.validation_images": 40, **changes}))
    return folder


def test_a_run_opens_where_its_training_batch_does_not_divide_by_the_devices(tmp_path, monkeypatch):
    folder = saved(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(jax, "device_count", lambda: 7)
        assert TrainedRun.open(folder).experiment.training.batch_size == 20
    monkeypatch.setattr(jax, "local_device_count", lambda: 7)  # what it evaluates must divide
    with pytest.raises(ValueError, match="batch"):
        TrainedRun.open(folder)


def test_what_was_measured_in_another_type_is_measured_again(tmp_path, monkeypatch):
    exact, rounded = (saved(tmp_path / dtype, **{"evaluation.dtype": dtype})
                      for dtype in ("float32", "bfloat16"))
    monkeypatch.setattr(MeasuredAccuracy, "_measure", lambda *_: 0.5)
    MeasuredAccuracy(TrainedRun.open(exact))(["d1e1"])
    line, = sealed.read_lines(exact / FILE)
    assert "evaluation_dtype" not in line["settings"]  # so that lines of earlier versions count
    (rounded / FILE).write_bytes((exact / FILE).read_bytes())
    measured = MeasuredAccuracy(TrainedRun.open(rounded))
    assert not measured._known.top1
    measured(["d1e1"])
    assert sealed.read_lines(rounded / FILE)[1]["settings"]["evaluation_dtype"] == "bfloat16"
    assert MeasuredAccuracy(TrainedRun.open(exact))._known.top1 == {"d1e1": 0.5}
