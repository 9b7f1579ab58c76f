"""Targets of deps_jax: names of subnets, spaces, tables, cards, checkpoints, folders of runs."""
import dataclasses
import hashlib
import io
import json
import pickle
import shutil
import struct
import zipfile
from types import SimpleNamespace

import jax
import mutations
import numpy as np
import yaml
from tiny_run import tiny_config
from tiny_spaces import PLAIN, TINY

from deps_jax.common.files import sealed, workdir
from deps_jax.common.files.tensors import load_state_dict
from deps_jax.common.loop import writer
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.export.runtime import INPUT, Model
from deps_jax.search.latency import LatencyTable, TimingPlan
from deps_jax.search.ofa_files import OfaAccuracy, operation_names, read_table
from deps_jax.search.timings import read_timings
from deps_jax.space.cost import macs, pieces
from deps_jax.space.families import MOBILENET_V3
from deps_jax.space.layers import layers
from deps_jax.space.plain import to_plain
from deps_jax.space.subnet import sample, smallest, stack
from deps_jax.space.subnet_text import decode, encode
from deps_jax.training import run_records
from deps_jax.training.experiment import Experiment

LETTERS = "dekwbx0123456789./:-"
WIDE = dataclasses.replace(TINY, first_width=0, stem_widths=(0.5, 1.0), stages=tuple(
    dataclasses.replace(stage, widths=(0.5, 1.0)) for stage in TINY.stages))


def subnet_names(folder):
    known = [(space, encode(space, sample(jax.random.key(seed), space)))
             for space in (TINY, PLAIN, WIDE) for seed in range(4)]
    known += [(space, word) for space in (TINY, WIDE) for word in ("largest", "d2e3k5", "d1w0.5")]

    def case(draw):
        space, text = draw.choice(known)
        found = decode(space, mutations.of_text(draw, text, LETTERS))
        again = decode(space, encode(space, found))
        assert all(jax.tree.leaves(jax.tree.map(np.array_equal, again, found))), text

    return case


def spaces(folder):
    content = {"space": to_plain(WIDE), "classes": list("abcde")}
    workdir.claim(folder, {"a": 1})

    def case(draw):
        # Without its seal, as a file of an older version or one that was edited on purpose.
        (folder / run_records.SPACE).write_bytes(mutations.json_bytes(draw, content))
        space = run_records.read_space(folder)
        if space:
            encode(space, smallest(space))
            layers(space, smallest(space), space.resolution)

    return case


def _timings(plan):
    latencies = {"call": {"p10_ms": 0.01, "median_ms": 0.02}}
    fitted, held_out = plan.networks()
    parts = plan.pieces() | {f"net {name}": plan.layers(name) for name in fitted + held_out}
    for name, part in parts.items():
        latencies[name] = {"p10_ms": 0.01 + macs(part) / 1e6, "median_ms": 0.02 + macs(part) / 1e6}
    return {"device": {"processor": "abacus", "threads": 1, "onnxruntime": "0"},
            "latencies": latencies}


def latency_tables(folder):
    plan = TimingPlan(TINY, TINY.resolution)
    timings = json.loads(json.dumps(_timings(plan)))
    LatencyTable.fit(plan, timings).save(folder / "t.json")
    table = json.loads((folder / "t.json").read_text())
    del table["seal"]
    subnets = stack([decode(TINY, "smallest"), decode(TINY, "largest")])

    def case(draw):
        path = folder / "changed.json"
        if draw.randint(0, 1):
            path.write_bytes(mutations.json_bytes(draw, timings))
            LatencyTable.fit(plan, read_timings(path)).summary()
        else:
            path.write_bytes(mutations.json_bytes(draw, table))
            found = LatencyTable.load(path)
            found.predictor(TINY)(subnets)
            found.summary()

    return case


def ofa_tables(folder):
    space = MOBILENET_V3.with_choices(kernels=(3, 5, 7))
    names = {name for _, piece in pieces(layers(space, smallest(space), 160))
             for name in operation_names(piece)}
    table = yaml.safe_dump({name: {"count": 1, "mean": 0.5} for name in names}).encode()
    sizes, tensors = [128, 8, 8, 8, 1], {}
    for i in range(4):
        tensors |= {f"{2 * i}.weight": np.ones((sizes[i + 1], sizes[i]), np.float32),
                    f"{2 * i}.bias": np.ones(sizes[i + 1], np.float32)}
    written = io.BytesIO()
    np.savez(written, **tensors)

    def case(draw):
        if draw.randint(0, 1):
            (folder / "160_lookup_table.yaml").write_bytes(mutations.of_bytes(draw, table))
            read_table(folder / "160_lookup_table.yaml")
        else:
            (folder / "p.npz").write_bytes(mutations.of_bytes(draw, written.getvalue()))
            OfaAccuracy.load(folder / "p.npz", space)

    return case


def cards(folder):
    from onnx import TensorProto, helper

    image = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 3, 8, 8])
    graph = helper.make_graph([helper.make_node("Identity", [INPUT], ["logits"])], "same",
                              [image(INPUT)], [image("logits")])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    content = model.SerializeToString()
    card = {"card_version": 1, "sha256": hashlib.sha256(content).hexdigest(),
            "preprocessing": {"short_side": 9, "resolution": 8, "mean": [0.5] * 3,
                              "std": [0.2] * 3},
            "classes": ["a", "b"], "session_options": {}}
    photo = np.zeros((12, 10, 3), np.uint8)

    def case(draw):
        damaged = draw.randint(0, 9) == 0
        (folder / "m.onnx").write_bytes(mutations.of_bytes(draw, content) if damaged else content)
        (folder / "m.json").write_bytes(mutations.json_bytes(draw, card))
        Model(folder / "m.onnx").preprocessing([photo])

    return case


def checkpoints(folder):
    """Files of steps cut, flipped, emptied, deleted and swapped; never another state than saved."""
    state = lambda step: {"step": np.array(step, np.int32), "params": {
        "kernel": np.full((40, 30), step, np.float32), "bias": np.arange(30.0) + step}}
    whole = Checkpoints(folder / "whole")
    for step in (3, 5):
        whole.save(step, state(step))
    files = sorted(path.relative_to(folder / "whole") for path in (folder / "whole").rglob("*")
                   if path.is_file())

    def case(draw):
        shutil.rmtree(folder / "damaged", ignore_errors=True)
        shutil.copytree(folder / "whole", folder / "damaged")
        for _ in range(draw.randint(1, 3)):
            path = folder / "damaged" / draw.choice(files)
            kind = draw.randint(0, 5)
            if kind == 0:
                path.unlink(missing_ok=True)
            elif kind == 1:
                path.write_bytes((folder / "whole" / draw.choice(files)).read_bytes())
            elif path.is_file():
                path.write_bytes(mutations.of_bytes(draw, path.read_bytes()))
        found = Checkpoints(folder / "damaged")
        read = jax.device_get(found.restore_state(state(0)))
        step = found.latest_step()
        jax.tree.map(np.testing.assert_array_equal, read, state(step))
        found.record()

    return case


def tensor_files(folder):
    """.npz and PyTorch checkpoints; of archives, what is inside is damaged, too."""
    npz = io.BytesIO()
    np.savez(npz, **{"stem/kernel": np.ones((3, 3), np.float32), "n": np.array(3)})
    pickled = _torch_pickle()

    def inside(draw, archive):
        source, written = zipfile.ZipFile(io.BytesIO(archive)), io.BytesIO()
        with zipfile.ZipFile(written, "w") as target:
            for name in source.namelist():
                data = source.read(name)
                target.writestr(name, mutations.of_bytes(draw, data) if draw.randint(0, 1)
                                else data)
        return written.getvalue()

    def case(draw):
        name, archive = draw.choice((("a.npz", npz.getvalue()), ("a.pth", pickled)))
        how = draw.choice((inside, mutations.of_bytes))
        (folder / name).write_bytes(how(draw, archive))
        load_state_dict(folder / name)

    return case


def _torch_pickle():
    """What torch.save writes of {"w": a tensor [2, 3]}, without PyTorch."""
    class Storage:
        pass

    class Tensor:
        def __reduce__(self):
            return rebuild, (Storage(), 0, (2, 3), (3, 1), False, None)

    def rebuild(*_):
        """Stands for a name in the pickle, and is never called."""

    class Pickler(pickle._Pickler):
        def persistent_id(self, each):
            return (("storage", SimpleNamespace, "0", "cpu", 6) if isinstance(each, Storage)
                    else None)

        def save_global(self, each, name=None):
            known = {rebuild: "torch._utils\n_rebuild_tensor_v2\n",
                     SimpleNamespace: "torch\nFloatStorage\n"}
            self.write(b"c" + known[each].encode())

        dispatch = pickle._Pickler.dispatch | {type(rebuild): save_global, type: save_global}

    content, archive = io.BytesIO(), io.BytesIO()
    Pickler(content, 2).dump({"w": Tensor(), "epoch": 3})
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", content.getvalue())
        file.writestr("archive/data/0", struct.pack("6f", *range(6)))
    return archive.getvalue()


def runs(folder):
    """The config, the splits and the metrics of a run."""
    config = json.loads(json.dumps(tiny_config()))
    splits = {"listing": {"name": "digits"}, "splits": {part: ["a", "b"]
                                                        for part in run_records.PARTS}}
    workdir.claim(folder, {"a": 1}, records={
        run_records.SPACE: {"space": to_plain(TINY), "classes": ["a"]}})
    lines = "".join(sealed.line({"step": step, "loss": 1.5}) for step in range(9)).encode()

    def case(draw):
        kind = draw.randint(0, 2)
        if kind == 0:
            (folder / workdir.CONFIG).write_bytes(mutations.json_bytes(draw, config))
            experiment = workdir.understood(folder, Experiment.from_dict)
            experiment.space.build(num_classes=3)
        elif kind == 1:
            (folder / run_records.SPLITS).write_bytes(mutations.json_bytes(draw, splits))
            run_records.read(folder)
        else:
            (folder / writer.FILE).write_bytes(mutations.of_bytes(draw, lines))
            writer.read(folder)

    return case


# The function that prepares a target in a folder and gives its case; how many in `make test`.
TARGETS = {
    "subnet_names": (subnet_names, 30), "spaces": (spaces, 40),
    "latency_tables": (latency_tables, 20), "ofa_tables": (ofa_tables, 30), "cards": (cards, 50),
    "checkpoints": (checkpoints, 6), "tensor_files": (tensor_files, 60), "runs": (runs, 60),
}
