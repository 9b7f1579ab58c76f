"""What fuzzing has found, one case of each kind; each hung or gave no sentence before."""
import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fuzz_deps import _timings, _torch_pickle
from make_videos import write_video
from tiny_spaces import TINY

from deps_jax.common.command.settings import build_settings
from deps_jax.common.files import checksums
from deps_jax.common.files.tensors import load_state_dict
from deps_jax.data.load import Data
from deps_jax.export.runtime import Preprocessing
from deps_jax.search.latency import LatencyTable, TimingPlan
from deps_jax.space.plain import from_plain, to_plain
from deps_jax.space.rows import Width
from deps_jax.space.subnet_text import decode
from deps_jax.training.experiment import build_method
from nurture_jax.network.backbones import from_description
from nurture_jax.network.scaling import Scaling
from nurture_jax.records import frame_list
from nurture_jax.records.video import probe
from nurture_jax.records.video_file import VideoError


@pytest.mark.parametrize("count", ["99999999999", "9" * 30])
def test_a_block_repeated_for_ever(count):
    """It made a list of so many blocks."""
    with pytest.raises(ValueError, match=r"stage 0 has \d blocks, allowed are \(1, 2\)"):
        decode(TINY, f"k3e1x{count}/k3e1")


@pytest.mark.parametrize(("change", "sentence"), [
    ({"width_mult": float("inf")}, "space.width_mult is inf; give it a number"),
    ({"stages": 3}, "space has no list of stages"),
    ({"stages": ["x"]}, "stage 0 is 'x', not fields by name"),
    ({"stem_widths": ["a"]}, r"space.stem_widths is \['a'\]; give it a list, each a number"),
    ({"resolution": "9"}, "space.resolution is '9'; give it a whole number"),
    ({"head_width": 10**30}, "is not 0 to 1000000 channels"),
])
def test_a_space_of_other_values(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        from_plain({**to_plain(TINY), **change})


@pytest.mark.parametrize(("change", "sentence"), [
    ({"depths": [2**31]}, "give 0 to 1000"), ({"block": {}}, "has no list of rows"),
    ({"expands": [1e308]}, "at most 1000"), ({"kernels": [[3]]}, "stage 1.kernels is"),
])
def test_a_stage_of_other_values(change, sentence):
    """Two billion blocks were counted one by one."""
    plain = to_plain(TINY)
    plain["stages"][1] |= change
    with pytest.raises(ValueError, match=sentence):
        from_plain(plain)


def test_settings_of_another_type_are_told_by_name():
    for value in ("4", None, [4], {"a": 4}, 4.5, float("nan")):
        with pytest.raises(ValueError, match=r"data.workers is .*; give it a whole number"):
            build_settings(Data, {"name": "digits", "workers": value}, "data")
    with pytest.raises(ValueError, match=r"method is \[\], not fields by name"):
        build_method([])
    with pytest.raises(ValueError, match=r"method.name {} is not a name"):
        build_method({"name": {}})


def test_widths_of_a_block_without_bounds():
    """Two large factors made an infinite number of channels."""
    sizes = {"in": 8}
    for factor in (1e308, float("nan"), 126_000):
        with pytest.raises(ValueError, match=r"width 'wide' .* channels, and at most 1000000 are"):
            Width("wide", "in", factor).resolve(sizes, 1.0)
    assert Width("wide", "in", "expand").resolve(sizes, 6.0) == 48


@pytest.mark.parametrize(("change", "sentence"), [
    ({"statistic": "gate"}, r"its statistic is 'gate', not one of .*\); make it again"),
    ({"held_out": []}, r"it has no network that was held out\); make it again")])
def test_a_latency_table_without_what_it_is_made_of(tmp_path, change, sentence):
    plan = TimingPlan(TINY, TINY.resolution)
    LatencyTable.fit(plan, json.loads(json.dumps(_timings(plan)))).save(tmp_path / "t.json")
    table = json.loads((tmp_path / "t.json").read_text())
    del table["seal"]
    (tmp_path / "t.json").write_text(json.dumps(table | change))
    with pytest.raises(ValueError, match=sentence):
        LatencyTable.load(tmp_path / "t.json")


def test_a_list_of_frames_that_ends_early(tmp_path):
    (tmp_path / "frames.csv").write_text("file_name,video,frame_index,time_s,width,height\na.png\n")
    with pytest.raises(ValueError, match=r"frames.csv is damaged \(a row ends early\); write the"):
        frame_list.read(tmp_path)


def test_what_a_card_says_of_pixels():
    for change in ({"std": (0.2, 0.0, 0.2)}, {"mean": (0.5,)}, {"short_side": 10**9},
                   {"mean": (1e300, 0.0, 0.0)}):
        with pytest.raises(ValueError, match="; "):
            Preprocessing(**{"short_side": 9, "resolution": 8, "mean": (0.5,) * 3,
                             "std": (0.2,) * 3, **change})


def test_archives_damaged_inside(tmp_path):
    written = io.BytesIO()
    np.savez(written, w=np.ones(30))
    (tmp_path / "a.npz").write_bytes(written.getvalue().replace(b"fortran", b"f\0rtran", 1))
    with pytest.raises(ValueError, match=r"a.npz is damaged \(.*\); copy it again"):
        load_state_dict(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:  # a part that NumPy does not know
        archive.writestr("w.npy", b"no array")
    with pytest.raises(ValueError, match=r"d.npz is damaged \(ValueError: w is no array\)"):
        load_state_dict(tmp_path / "d.npz")
    with zipfile.ZipFile(tmp_path / "b.pth", "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"a": 1})[:-1])
    with pytest.raises(ValueError, match=r"b.pth is damaged"):
        load_state_dict(tmp_path / "b.pth")


def test_a_pickle_of_gigabytes_in_four_bytes(tmp_path):
    """pickle made a list as long as a number that was changed: the system ended the process."""
    source = zipfile.ZipFile(io.BytesIO(_torch_pickle()))
    pickled = source.read("archive/data.pkl")
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as target:
        target.writestr("archive/data.pkl", pickled[:-1] + b"r\xff\xff\xff\x7f.")
        target.writestr("archive/data/0", source.read("archive/data/0"))
    with pytest.raises(ValueError, match=r"a.pth is damaged \(ValueError: it puts value 214748"):
        load_state_dict(tmp_path / "a.pth")


def test_a_list_of_checksums_with_a_name_that_cannot_be(tmp_path):
    (tmp_path / checksums.LIST).write_text(f"{'0' * 64}  a\0b\n")
    assert checksums.damage(tmp_path) == "SHA256SUMS is damaged"


def test_a_tensor_outside_of_its_data(tmp_path):
    """NumPy's strides read beyond the end of the file's bytes, into the memory of the process."""
    whole = _torch_pickle()
    (tmp_path / "a.pth").write_bytes(whole)
    np.testing.assert_array_equal(load_state_dict(tmp_path / "a.pth")["w"], [[0, 1, 2], [3, 4, 5]])
    source = zipfile.ZipFile(io.BytesIO(whole))
    with zipfile.ZipFile(tmp_path / "b.pth", "w") as target:
        target.writestr("archive/data.pkl", source.read("archive/data.pkl"))
        target.writestr("archive/data/0", source.read("archive/data/0")[:8])
    with pytest.raises(ValueError, match="data/0 has 8 bytes for 6 values"):
        load_state_dict(tmp_path / "b.pth")


def test_a_video_in_an_unknown_code(tmp_path):
    path: Path = write_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"\0vc\xff"))
    with pytest.raises(VideoError, match=r"in a code that is not known|cannot be"):
        probe(path)


def test_what_a_network_of_newborns_is_made_of():
    for values in (None, {"kind": "resnet"}, {"kind": "layers", "layers": [3], "epsilon": 0.1},
                   {"kind": "resnet", "depth": 17, "width": 8, "stages": 4}):
        with pytest.raises(ValueError, match="; "):
            from_description(json.loads(json.dumps(values)))
    with pytest.raises(ValueError, match=r"standard.label_mean is not set"):
        Scaling.from_dict({})
