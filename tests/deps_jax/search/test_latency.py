"""The table from timings that are made up, so that what it should say is known."""
import dataclasses
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from other_blocks import OWN

pytest.importorskip("onnxruntime", reason="needs the extra export")
from deps_jax.export import device_timer
from deps_jax.export.device_timer import measure
from deps_jax.search.genome import Genome
from deps_jax.search.latency import CALL, LatencyTable, TimingPlan, write_kit
from deps_jax.search.search_run import check_precision, cost_functions
from deps_jax.search.timings import read_timings
from deps_jax.space import cost
from deps_jax.space.candidate import Candidates
from deps_jax.space.cost import BlockTable, macs, pieces
from deps_jax.space.layers import block_layers, layers
from deps_jax.space.subnet import stack
from deps_jax.space.subnet_text import decode
from deps_jax.supernet.network import weight_shapes

CALL_MS = 0.01


@pytest.fixture(scope="module")
def plan(tiny):
    return TimingPlan(tiny, tiny.resolution)


@pytest.fixture(scope="module")
def timings(plan):
    """A device that needs 1 ms for a million MACs, and 20 % more for a network than its pieces."""
    latencies = {}
    for name, model in plan.models().items():
        milliseconds = CALL_MS + _million_macs(model)
        if name.startswith("net "):
            milliseconds *= 1.2
        latencies[name] = {"p10_ms": milliseconds, "median_ms": 2 * milliseconds}
    return {"device": {"processor": "abacus", "threads": 1, "onnxruntime": "0"},
            "latencies": latencies}


def _million_macs(model):
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model)).graph
    shapes = {info.name: [d.dim_value for d in info.type.tensor_type.shape.dim]
              for info in (*graph.value_info, *graph.output)}
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            total += np.prod(weights[node.input[1]]) * np.prod(shapes[node.output[0]][2:])
    return float(total) / 1e6


def test_prediction_is_the_scaled_sum_of_pieces(tiny, plan, timings):
    table = LatencyTable.fit(plan, timings)
    assert table.scale == pytest.approx(1.2)
    np.testing.assert_allclose(table.errors, 0, atol=1e-9)
    assert table.rank_correlation == pytest.approx(1)
    names = ["smallest", "k3e3-k5e1/k3e2", "largest"]
    expected = [1.2 * (CALL_MS + macs(layers(tiny, decode(tiny, name))) / 1e6) for name in names]
    predicted = table.predictor(tiny)(stack([decode(tiny, name) for name in names]))
    np.testing.assert_allclose(predicted, expected)


def test_what_pieces_cost_between_others_is_learnt(tiny, plan, timings):
    """Pieces with 5x5 kernels take twice the time between others, which no scale can tell."""
    latencies = dict(timings["latencies"])
    for name in (name for names in plan.networks() for name in names):
        more = sum(latencies[piece]["p10_ms"] - CALL_MS for piece in (
            plan.piece_names(part) for _, part in pieces(plan.layers(name))) if " k5 " in piece)
        whole = latencies[f"net {name}"]["p10_ms"] + more
        latencies[f"net {name}"] = {"p10_ms": whole, "median_ms": 2 * whole}
    table = LatencyTable.fit(plan, {**timings, "latencies": latencies})
    alone = dataclasses.replace(table, factors=dict.fromkeys(table.factors, 1.0))
    held_out = stack([decode(tiny, record["subnet"]) for record in table.held_out])
    measured = np.array([record["measured_ms"] for record in table.held_out])
    np.testing.assert_allclose(table.predictor(tiny)(held_out), (1 + table.errors) * measured)
    scaled = np.abs(alone.predictor(tiny)(held_out) / measured - 1)
    assert np.median(np.abs(table.errors)) < np.median(scaled) / 2
    assert all((" k5 " in name) == (factor > 1) for name, factor in table.factors.items()
               if " k" in name and abs(factor - 1) > 0.1)


def test_rank_correlation_of_equal_times_is_not_defined(plan, timings):
    table = LatencyTable.fit(plan, timings)
    same = [{**record, "measured_ms": 3.0} for record in table.held_out]
    table = dataclasses.replace(table, held_out=same)
    assert table.rank_correlation is None and "correlation not defined" in table.summary()


def test_predictions_are_looked_up(tiny, plan, timings, monkeypatch):
    """The layers of the space are gone through when a predictor is made, and never again."""
    table = LatencyTable.fit(plan, timings)
    subnets = stack([decode(tiny, "smallest"), decode(tiny, "largest")])
    walked = []
    monkeypatch.setattr(cost, "block_layers", lambda *a: walked.append(a) or block_layers(*a))
    costs = cost_functions(Genome(tiny, (tiny.resolution,)), [table])
    walked_at_first = len(walked)
    candidates = Candidates(subnets, np.full(2, tiny.resolution, np.int32))
    first, second = (costs(candidates)["latency_ms"] for _ in range(2))
    assert len(walked) == walked_at_first > 0
    np.testing.assert_array_equal(first, table.predictor(tiny)(subnets))
    np.testing.assert_array_equal(second, first)


def test_every_piece_of_the_space_is_timed_once(tiny, plan):
    pieces = [name for name in plan.models() if name != CALL and not name.startswith("net ")]
    # stem, first block, head; two stages: a first block and equal ones after it, 2 kernels by 3
    # expand ratios each, and the first stage's first block is equal to the others
    assert len(pieces) == len(set(pieces)) == 3 + 6 + 12


def test_pieces_of_an_own_block_are_told_apart():
    """Its expand ratio widens what no depthwise convolution of the block is as wide as."""
    own = TimingPlan(OWN, OWN.resolution)
    costs = {name: macs(piece) for name, piece in own.pieces().items()}
    named = BlockTable.build(OWN, lambda piece: costs[own.piece_names(piece)])
    subnets = stack([decode(OWN, name) for name in ("k3e1", "k3e2", "k3e3", "k5e2-k3e3")])
    np.testing.assert_array_equal(named(subnets), BlockTable.build(OWN, macs)(subnets))


def test_a_table_of_before_that_mixed_pieces_up_is_refused(plan, timings):
    own = TimingPlan(OWN, OWN.resolution)
    latencies = {name.partition(": ")[0]: {"p10_ms": 1.0, "median_ms": 1.0}
                 for name in [CALL, *own.pieces(), *(f"net {n}" for ns in own.networks()
                                                     for n in ns)]}
    with pytest.raises(ValueError, match=r"lack 'stage0 8to16 8wide k3 s1 6px: .* earlier version"):
        LatencyTable.fit(own, {**timings, "latencies": latencies})


def test_saved_table_is_read_back(tiny, plan, timings, tmp_path):
    table = LatencyTable.fit(plan, timings)
    table.save(tmp_path / "table.json")
    again = LatencyTable.load(tmp_path / "table.json")
    assert again == table
    assert json.loads((tmp_path / "table.json").read_text())["quality"]["within_8_percent"] == 1
    assert "abacus" in again.summary()


def test_table_of_another_space_is_refused(tiny, plan, timings):
    table = LatencyTable.fit(plan, timings)
    other = tiny.with_choices(num_classes=7)
    with pytest.raises(ValueError, match="another space: num_classes is 5 there and 7 here"):
        table.predictor(other)
    with pytest.raises(ValueError, match="the timings lack"):
        LatencyTable.fit(TimingPlan(tiny.with_choices(kernels=(3, 7)), 9), timings)


@pytest.mark.parametrize(("content", "sentence"), [
    (None, "does not exist; give a latency table"), ("what?", "is not JSON"),
    ("{}", "is not a latency table"),
])
def test_unknown_device_files(tmp_path, content, sentence):
    path = tmp_path / "phone.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=sentence):
        LatencyTable.load(path)


def test_kit_runs_without_this_project(plan, tmp_path):
    write_kit(tmp_path / "kit.zip", plan)
    with zipfile.ZipFile(tmp_path / "kit.zip") as archive:
        archive.extractall(tmp_path / "there")
    subprocess.run([sys.executable, "-I", "device_timer.py", "--rounds", "1"],
                   cwd=tmp_path / "there", check=True, capture_output=True)
    told = read_timings(tmp_path / "there" / "timings.json")
    assert told["question"] == json.loads(json.dumps(plan.description))
    table = LatencyTable.fit(plan, told)
    assert table.device["threads"] == 1 and table.scale > 0


@pytest.mark.parametrize(("change", "sentence"), [
    ({"precision": "int8"}, "the timings are of precision fp32, not int8; ask for a table of"),
    ({"resolution": 16}, "the timings are of resolution 9, not 16; "),
    ({"seed": 1}, "the timings are of seed 0, not 1; "),
], ids=["precision", "resolution", "seed"])
def test_timings_of_another_question_are_refused(plan, timings, change, sentence):
    told = {**timings, "question": plan.description}
    assert LatencyTable.fit(plan, told) == LatencyTable.fit(plan, timings)  # of an earlier version
    with pytest.raises(ValueError, match=sentence):
        LatencyTable.fit(dataclasses.replace(plan, **change), told)


def test_timings_of_another_space_are_refused(tiny, plan, timings):
    other = dataclasses.replace(plan, space=tiny.with_choices(num_classes=7))
    with pytest.raises(ValueError, match="of another space: num_classes is 7 there and 5 here"):
        LatencyTable.fit(plan, {**timings, "question": other.description})


@pytest.mark.parametrize("question", [3, {}, {"precision": "int8", "resolution": "big"}])
def test_a_damaged_question_is_named(plan, timings, tmp_path, question):
    if isinstance(question, dict):
        question = {"space": plan.description["space"], **question}
    (tmp_path / "timings.json").write_text(json.dumps({**timings, "question": question}))
    with pytest.raises(ValueError, match=r"timings.json is damaged or of another version"):
        read_timings(tmp_path / "timings.json")


def test_tables_that_contradict_each_other_are_refused(tiny, plan, timings):
    table = LatencyTable.fit(plan, timings)
    genome = Genome(tiny, (tiny.resolution,))
    with pytest.raises(ValueError, match="2 latency tables are for 9 px; give one for each"):
        cost_functions(genome, [table, table])
    of = lambda **what: dataclasses.replace(table, question={**table.question, **what})
    with pytest.raises(ValueError, match="of several precisions, fp32, int8; give tables of one"):
        cost_functions(genome, [table, of(resolution=16, precision="int8")])


def test_a_table_of_another_precision_than_the_file_is_refused(plan, timings, capsys):
    table = LatencyTable.fit(plan, timings)
    check_precision([table], "fp32")
    with pytest.raises(ValueError, match="is of fp32, but the file is asked for in int8; use --pr"):
        check_precision([table], "int8")
    check_precision([table], "int8_static")
    assert "no latency table is of int8_static" in capsys.readouterr().err


@pytest.mark.parametrize(("damage", "options", "sentence"), [
    (None, ["--rounds", "0"], "--rounds 0 and --threads 1 must be 1 or more"),
    ("models/000.onnx", [], "cannot read the model 'call' (Failed to load model"),
    ("models/names.json", [], "names.json is damaged, it is no longer JSON"),
    ("question.json", [], "question.json is damaged, it is no longer JSON"),
])
def test_a_kit_that_cannot_be_timed_says_why(plan, tmp_path, monkeypatch, capsys, damage, options,
                                             sentence):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "names.json").write_text(json.dumps({"000": CALL}))
    (tmp_path / "models" / "000.onnx").write_bytes(plan.models()[CALL])
    if damage:
        (tmp_path / damage).write_bytes(b"[damaged")
    monkeypatch.setattr(sys, "argv", [
        "device_timer.py", "--models", str(tmp_path / "models"), "--out",
        str(tmp_path / "timings.json"), *(options or ["--rounds", "1"])])
    assert device_timer.main() == 2
    said = capsys.readouterr().err
    assert sentence in said and len(said.splitlines()) == 1


def test_measured_latency_grows_with_the_work(plan):
    models = plan.models()
    timed = measure({name: models[name] for name in ("net smallest", "net largest")}, rounds=10)
    assert timed["net smallest"]["p10_ms"] < timed["net largest"]["p10_ms"]
    assert timed["net largest"]["p10_ms"] <= timed["net largest"]["median_ms"]


def test_shapes_of_weights_are_those_of_the_parameters(tiny):
    network = layers(tiny, decode(tiny, "k3e2-k5e3/k3e1-k3e2"))
    squeeze = sum(np.prod(shape) for layer in network for shape in weight_shapes(layer).values())
    norms = sum(layer.out_channels for layer in network if layer.batch_norm)  # scale folded away
    features = next(layer for layer in network if layer.name == "head/features").out_channels
    assert squeeze == sum(layer.params for layer in network) - norms + features


def test_block_table_asks_for_each_choice(tiny):
    table = BlockTable.build(tiny, lambda piece: 1.0)
    subnets = stack([decode(tiny, "smallest"), decode(tiny, "largest")])
    np.testing.assert_array_equal(table(subnets), [3 + 2, 3 + 5])


def test_without_onnxruntime_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(device_timer, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"not installed; install it, .* 'deps-jax\[export"):
        device_timer.session(b"")
