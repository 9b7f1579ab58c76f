"""One of several processes that do something together, for the tests of this folder.

    python member.py DEPS|NURTURE|MEET|AGREE|LEAVE COUNT INDEX PORT OUT.npz [NAME=VALUE ...]

NAMEs of a training are "dtype", "steps" and "parts" (of accumulation).
"""
import dataclasses
import sys
import time
from pathlib import Path

import jax
import numpy as np

TESTS = Path(__file__).parents[3]  # holds folders named like the packages: those come first
STEPS = 5


def typed(tree, dtype):
    """A pytree with its arrays of numbers with fractions in this type."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype)
                        if np.issubdtype(np.asarray(leaf).dtype, np.floating) else leaf, tree)


def supernet_run(dtype, parts):
    """Two steps of the full model, a ramp of two steps, one at full rate."""
    sys.path[:0] = map(str, (TESTS.parent, TESTS, TESTS / "deps_jax",
                             TESTS / "deps_jax/training"))
    from small_run import RECIPE, fresh_state
    from test_train import batch

    from deps_jax.training.trainer import Trainer

    method = dataclasses.replace(RECIPE.method, full_model_fraction=0.8, ramp_epochs=1.0)
    recipe = dataclasses.replace(RECIPE, method=method, dtype=dtype, total=STEPS,
                                 steps_per_epoch=2, accumulation=parts)
    return Trainer(recipe, jax.random.key(7)), typed(fresh_state(recipe), dtype), batch


def newborn_run(dtype):
    """Clips of which some have labels, masks and points, so that processes count differently."""
    sys.path[:0] = map(str, (TESTS.parent, TESTS, TESTS / "nurture_jax",
                             TESTS / "nurture_jax/training"))
    from make_batches import batch, net
    from test_nurture_train import CLIP, RECIPE

    from nurture_jax.training.train import Trainer, init_state

    recipe = dataclasses.replace(RECIPE, model=net(dropout_rate=0.1, dtype=dtype))
    if dtype == "float32":  # where Adam makes whole steps out of rounding
        recipe = dataclasses.replace(recipe, optimizer=dataclasses.replace(
            recipe.optimizer, name="sgd"))
    state = jax.jit(lambda: init_state(jax.random.key(0), recipe, CLIP))()
    return (Trainer(recipe, jax.random.key(7)), typed(jax.device_get(state), dtype),
            lambda step: typed(batch(step, known=0.6), dtype))


def train(what, index, out, dtype="float64", steps=STEPS, parts=1):
    from deps_jax.common.processes.together import check_alike, my_places

    trainer, state, batch = supernet_run(dtype, parts) if what == "DEPS" else newborn_run(dtype)
    check_alike(steps=steps)
    metrics = {}
    for step in range(steps):
        whole = batch(step)
        places = my_places(len(next(iter(whole.values()))), parts)
        own = whole if places is None else {name: leaf[places] for name, leaf in whole.items()}
        state, found = trainer(step, state, own)
        metrics |= {f"{name} {step}": float(mean.compute()) for name, mean in found.items()}
    if index == 0:
        leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(state))
        np.savez(out, **metrics, **{jax.tree_util.keystr(path): leaf for path, leaf in leaves})


def compare():
    """Says who is here, and what differs."""
    from deps_jax.common.processes.together import check_alike

    check_alike(place=jax.process_count())
    print(f"process {jax.process_index()} of {jax.process_count()}", file=sys.stderr)
    check_alike(data="alike" if jax.process_index() == 0 else "other")


def agree(index, folder):
    """Says on stderr what two processes are told by each other, one line each."""
    from deps_jax.common.loop import run
    from deps_jax.common.loop.checkpoint import Checkpoints
    from deps_jax.common.processes.together import as_first, first_does

    def told(action):
        try:
            print("told:", action(), file=sys.stderr)
        except (OSError, ValueError) as error:
            print(f"told: {type(error).__name__}: {error}", file=sys.stderr)

    def full():
        raise OSError("no room is left")

    done = []
    told(lambda: first_does(lambda: done.append(index)) or done)
    told(lambda: first_does(full))
    told(lambda: as_first({"error": 1.5 + index}))

    def claimed(name, number=0, records=None):
        with run.claim(Path(folder) / name, {"seed": number}, records=records):
            return f"{name} is claimed"

    told(lambda: claimed("alike"))
    told(lambda: claimed("config", number=index))
    told(lambda: claimed("data", records={"splits.json": {"train": [index]}}))
    version, run.own_sources = run.own_sources, lambda: f"version {index}"
    told(lambda: claimed("version"))
    run.own_sources = version
    Checkpoints.latest_step = lambda _: 10 * index
    Checkpoints.check_disk = lambda *_: None

    class Closed:
        def close(self):
            pass

    def begun():
        with run.continue_or_start(Path(folder) / "alike", {}, dict, Closed()):
            return "begun"

    told(begun)


def leave(index):
    """The second fails, while the first waits for it."""
    from deps_jax.common.processes.start import leaving_at_once

    with leaving_at_once():
        if index:
            raise SystemExit(7)
        time.sleep(600)


def main(what, count, index, port, out, **settings):
    from deps_jax.common.processes.start import Meeting, meet

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", settings.get("dtype") != "float32")
    if count > 1:
        meet(Meeting(coordinator=f"localhost:{port}", processes=count, process=index) if port
             else Meeting())  # as the environment says
    if what in ("DEPS", "NURTURE"):
        train(what, index, out, **settings)
    else:
        {"MEET": compare, "AGREE": lambda: agree(index, out), "LEAVE": lambda: leave(index)}[what]()


if __name__ == "__main__":
    given = dict(word.split("=") for word in sys.argv[6:])
    main(sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5],
         **{name: int(value) if value.isdecimal() else value for name, value in given.items()})
