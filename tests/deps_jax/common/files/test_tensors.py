import pickle
import zipfile

import numpy as np
import pytest

from deps_jax.common.files.tensors import load_state_dict


def save_zip(path, content: bytes):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)


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


@pytest.mark.long  # installs PyTorch
def test_checkpoint_saved_by_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch, the extra `bench`")
    weight = torch.arange(12.0).reshape(3, 4).t()  # strides that are not contiguous
    torch.save({"state_dict": {"w": weight, "half": weight.half(), "n": torch.tensor(5)}},
               tmp_path / "c.pth.tar")
    state = load_state_dict(tmp_path / "c.pth.tar")
    np.testing.assert_array_equal(state["w"], weight.numpy())
    assert state["half"].dtype == np.float16 and state["n"] == 5
