import pickle
import zipfile

import chex
import numpy as np
import pytest
from conftest import drawn

from deps_jax.space.families import MOBILENET_V3_CIFAR
from deps_jax.supernet.convert import convert, count_classes, load_state_dict, to_state_dict

SPACE = MOBILENET_V3_CIFAR.with_choices(width_mult=0.25, kernels=(3, 5, 7), kernel_transform=True)


@pytest.fixture(scope="module")
def variables():
    return drawn(SPACE)


def test_there_and_back(variables):
    state = to_state_dict(SPACE, *variables)
    assert state["blocks.3.conv.depth_conv.conv.weight"].shape == (48, 1, 7, 7)
    assert state["blocks.1.conv.depth_conv.7to5_matrix"].shape == (25, 25)
    assert count_classes(state) == 10
    chex.assert_trees_all_equal(convert(SPACE, state), variables)


def test_wrong_checkpoints_are_named(variables):
    state = to_state_dict(SPACE, *variables)
    with pytest.raises(ValueError, match="lacks 40 tensors"):
        convert(SPACE, {k: v for k, v in state.items() if "matrix" not in k})
    with pytest.raises(ValueError, match="does not know, first \\['extra'\\]"):
        convert(SPACE, {**state, "extra": np.zeros(1)})
    other = MOBILENET_V3_CIFAR.with_choices(width_mult=0.5, kernels=(3, 5, 7),
                                            kernel_transform=True)
    with pytest.raises(ValueError, match=r"needs with width_mult 0\.5: .* instead of"):
        convert(other, state)
    with pytest.raises(ValueError, match="no classifier"):
        count_classes({})


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
