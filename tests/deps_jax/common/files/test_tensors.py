import pickle
import zipfile

import numpy as np
import pytest

from deps_jax.common.files.tensors import load_state_dict


def save_zip(path, content: bytes, data: bytes = b"", compress=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        if data:
            archive.writestr("archive/data/0", data, compress)


def pickled(shape=(3,), strides=(1,), count=3) -> bytes:
    """{"w": a tensor of float32 in data/0}, as torch.save pickles it."""
    def numbers(values):
        return b"(" + b"".join(b"I%d\n" % value for value in values) + b"t"

    storage = (b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI%d\ntQ" % count)
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"I0\n" + numbers(shape) + numbers(
        strides) + b"I00\n(dtR"
    return b"(dS'w'\n" + tensor + b"s."


def test_files_that_would_run_code_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("pwned",)

    save_zip(tmp_path / "evil.pth", pickle.dumps({"w": Evil()}))
    with pytest.raises(ValueError, match=r"asks for builtins\.print"):
        load_state_dict(tmp_path / "evil.pth")
    save_zip(tmp_path / "list.pth", pickle.dumps([1]))
    with pytest.raises(ValueError, match="holds a list"):
        load_state_dict(tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ValueError, match="zipped PyTorch checkpoint"):
        load_state_dict(tmp_path / "text.pth")
    with pytest.raises(ValueError, match="is not a file"):
        load_state_dict(tmp_path / "nothing.pth")


def test_npz_and_plain_containers(tmp_path):
    np.savez(tmp_path / "a.npz", w=np.arange(3))
    np.testing.assert_array_equal(load_state_dict(tmp_path / "a.npz")["w"], [0, 1, 2])
    save_zip(tmp_path / "b.pth", pickle.dumps({"state_dict": {}, "epoch": 3}))
    assert load_state_dict(tmp_path / "b.pth") == {}


def test_the_tensor_of_a_checkpoint(tmp_path):
    values = np.arange(3, dtype=np.float32)
    save_zip(tmp_path / "a.pth", pickled(), values.tobytes())
    np.testing.assert_array_equal(load_state_dict(tmp_path / "a.pth")["w"], values)


@pytest.mark.parametrize("content, data, compress, message", [
    (pickled((10**9,), (1,), 10**9), bytes(12), zipfile.ZIP_STORED,
     "has 12 bytes for 1000000000 values"),
    (pickled((3,), (1,), 3), bytes(4096), zipfile.ZIP_STORED, "has 4096 bytes for 3 values"),
    (pickled((3,), (2,), 3), bytes(12), zipfile.ZIP_STORED, "a tensor lies outside of its data"),
    (pickled((10**5, 10**5), (0, 0), 3), bytes(12), zipfile.ZIP_STORED,
     "a tensor has more values than its data"),
    (pickled((10**6,), (1,), 10**6), bytes(4 * 10**6), zipfile.ZIP_DEFLATED,
     r"bomb\.pth holds archive/data/0 compressed, which torch\.save does not write"),
])
def test_a_small_file_is_no_large_tensor(tmp_path, content, data, compress, message):
    save_zip(tmp_path / "bomb.pth", content, data, compress)
    assert (tmp_path / "bomb.pth").stat().st_size < 10_000
    with pytest.raises(ValueError, match=message):
        load_state_dict(tmp_path / "bomb.pth")


@pytest.mark.long  # installs PyTorch
def test_checkpoint_saved_by_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch, the extra `bench`")
    weight = torch.arange(12.0).reshape(3, 4).t()  # strides that are not contiguous
    torch.save({"state_dict": {"w": weight, "half": weight.half(), "n": torch.tensor(5)}},
               tmp_path / "c.pth.tar")
    state = load_state_dict(tmp_path / "c.pth.tar")
    np.testing.assert_array_equal(state["w"], weight.numpy())
    assert state["half"].dtype == np.float16 and state["n"] == 5
