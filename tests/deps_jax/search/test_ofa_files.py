"""OFA's predictor and latency tables: made up, and as published where they are."""
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("pymoo", reason="needs the extra export")
from deps_jax.reference.search_bench import TUTORIAL
from deps_jax.search.ofa_files import OfaAccuracy, latency_costs, operation_names, read_table
from deps_jax.space.candidate import Candidates
from deps_jax.space.cost import pieces
from deps_jax.space.families import MOBILENET_V3, PROXYLESS
from deps_jax.space.layers import layers
from deps_jax.space.subnet_text import decode

SPACE = MOBILENET_V3.with_choices(kernels=(3, 5, 7), width_mult=1.2)


def write_predictor(path, rng, first=128, **changed):
    sizes = [first, 8, 8, 8, 1]
    tensors = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        tensors[f"{2 * i}.weight"] = rng.standard_normal((outputs, inputs)).astype(np.float32)
        tensors[f"{2 * i}.bias"] = rng.standard_normal(outputs).astype(np.float32)
    np.savez(path, **(tensors | changed))
    return tensors


def test_the_tutorial_s_network(shared):
    """OFA's tutorial says 81.71 % and 24.73 ms."""
    folder = shared / "data" / "ofa_note10"
    candidates = Candidates.named(SPACE, [TUTORIAL, "smallest@160", "largest@224"])
    top1 = OfaAccuracy.load(folder / "accuracy_predictor.npz", SPACE)(candidates)
    resolutions, costs = latency_costs(folder, SPACE)
    assert resolutions == tuple(range(160, 225, 4))
    assert round(100 * top1[0], 2) == 81.71
    assert round(costs(candidates)["latency_ms"][0], 2) == 24.73
    assert top1[1] < top1[0] < top1[2]


def test_inputs_of_the_predictor(tmp_path):
    """Kernels, expand ratios, resolution; nothing of a block that is left out."""
    rng = np.random.default_rng(0)
    tensors = write_predictor(tmp_path / "p.npz", rng)
    predictor = OfaAccuracy.load(tmp_path / "p.npz", SPACE)
    x = np.zeros(128)
    for s in range(5):
        for d in range(2):
            x[3 * (4 * s + d) + 2] = x[60 + 3 * (4 * s + d)] = 1  # kernel 7, expand ratio 3
    x[120 + 4] = 1  # 176 to 191 px
    for i in (0, 2, 4, 6):
        x = tensors[f"{i}.weight"] @ (np.maximum(x, 0) if i else x) + tensors[f"{i}.bias"]
    found = predictor(Candidates.named(SPACE, ["d2e3k7@176", "d2e3k7@188"]))
    np.testing.assert_allclose(found, [x[0]] * 2, rtol=1e-4)
    with pytest.raises(ValueError, match=r"knows 112 to 239 px, not \[256\]"):
        predictor(Candidates.named(SPACE, ["d2e3k7@256"]))


def test_what_is_no_predictor(tmp_path):
    rng = np.random.default_rng(0)
    write_predictor(tmp_path / "wide.npz", rng, first=130)
    with pytest.raises(ValueError, match="reads 128 numbers and gives 1"):
        OfaAccuracy.load(tmp_path / "wide.npz", SPACE)
    np.savez(tmp_path / "other.npz", weight=np.zeros(3))
    with pytest.raises(ValueError, match=r"it has no tensor '0\.weight'"):
        OfaAccuracy.load(tmp_path / "other.npz", SPACE)
    (tmp_path / "broken.npz").write_text("not a zip")
    with pytest.raises(ValueError, match=r"broken\.npz is damaged"):
        OfaAccuracy.load(tmp_path / "broken.npz", SPACE)
    with pytest.raises(ValueError, match="not of space 'proxyless'"):
        OfaAccuracy.load(tmp_path / "wide.npz", PROXYLESS)


def write_table(folder, resolution):
    """Every operation of the space takes as many milliseconds as its place in the list."""
    names = {}
    for subnet in (f"d4e{expand}k{kernel}" for expand in (3, 4, 6) for kernel in (3, 5, 7)):
        for _, piece in pieces(layers(SPACE, decode(SPACE, subnet), resolution)):
            for name in operation_names(piece):
                names.setdefault(name, len(names) + 1)
    path = folder / f"{resolution}_lookup_table.yaml"
    path.write_text("".join(f"{name}:\n  count: 3\n  mean: {ms}\n  std: 0.1\n"
                            for name, ms in names.items()))
    return names


def test_latency_is_the_sum_of_the_operations(tmp_path):
    names = write_table(tmp_path, 192)
    resolutions, costs = latency_costs(tmp_path, SPACE)
    assert resolutions == (192,) and len(names) == 96  # as many as OFA's tables have
    network = layers(SPACE, decode(SPACE, TUTORIAL.partition("@")[0]), 192)
    expected = sum(names[name] for _, piece in pieces(network) for name in operation_names(piece))
    assert costs(Candidates.named(SPACE, [TUTORIAL]))["latency_ms"].tolist() == [expected]
    (tmp_path / "192_lookup_table.yaml").rename(tmp_path / "160_lookup_table.yaml")
    with pytest.raises(ValueError, match="has no operation 'expanded_conv-input:80x80x24-output"):
        latency_costs(tmp_path, SPACE)


@pytest.mark.parametrize(("content", "sentence"), [
    ("a: [", "is not YAML"), ("", "names no operations"), ("[1, 2]", "names no operations"),
    ("Conv:\n  mean: fast\n", "has no mean of 'Conv'"), ("Conv: 3\n", "has no mean of 'Conv'"),
    ("Conv:\n  mean: -1\n", "has no mean of 'Conv'"),
])
def test_what_is_no_table(tmp_path, content, sentence):
    path = tmp_path / "160_lookup_table.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=sentence):
        read_table(path)


def test_no_tables(tmp_path):
    with pytest.raises(ValueError, match="holds no latency table of OFA"):
        latency_costs(tmp_path, SPACE)
    with pytest.raises(ValueError, match="cannot be read"):
        read_table(tmp_path / "160_lookup_table.yaml")
