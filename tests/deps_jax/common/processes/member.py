"""One of several processes that train a tiny network together, for `test_together`.

    python member.py DEPS|NURTURE|MEET COUNT INDEX PORT OUT.npz
"""
import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np

TESTS = Path(__file__).parents[3]  # holds folders named like the packages: those come first
STEPS = 5


def supernet_run():
    """Two steps of the full model, a ramp of two steps, one at full rate."""
    sys.path[:0] = map(str, (TESTS.parent, TESTS, TESTS / "deps_jax",
                             TESTS / "deps_jax/training"))
    from small_run import RECIPE, fresh_state
    from test_train import batch

    from deps_jax.training.trainer import Trainer

    method = dataclasses.replace(RECIPE.method, full_model_fraction=0.8, ramp_epochs=1.0)
    recipe = dataclasses.replace(RECIPE, method=method, dtype="float64", total=STEPS,
                                 steps_per_epoch=2)
    trainer = Trainer(recipe, jax.random.key(7))
    return trainer, fresh_state(recipe), batch


def newborn_run():
    """Clips of which some have labels, masks and points, so that processes count differently."""
    sys.path[:0] = map(str, (TESTS.parent, TESTS, TESTS / "nurture_jax",
                             TESTS / "nurture_jax/training"))
    from make_batches import batch
    from test_nurture_train import CLIP, RECIPE, float64

    from nurture_jax.training.train import Trainer, init_state

    state = jax.jit(lambda: init_state(jax.random.key(0), RECIPE, CLIP))()
    return (Trainer(RECIPE, jax.random.key(7)), float64(jax.device_get(state)),
            lambda step: float64(batch(step, known=0.6)))


def main(what, count, index, port, out):
    from deps_jax.common.processes.start import Meeting, meet
    from deps_jax.common.processes.together import check_alike, my_places

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    if count > 1:
        meet(Meeting(coordinator=f"localhost:{port}", processes=count, process=index) if port
             else Meeting())  # as the environment says
    if what == "MEET":
        check_alike(place=jax.process_count())
        print(f"process {jax.process_index()} of {jax.process_count()}", file=sys.stderr)
        check_alike(data="alike" if jax.process_index() == 0 else "other")
    trainer, state, batch = supernet_run() if what == "DEPS" else newborn_run()
    check_alike(steps=STEPS)
    metrics = {}
    for step in range(STEPS):
        whole = batch(step)
        places = my_places(len(next(iter(whole.values()))))
        own = whole if places is None else {name: leaf[places] for name, leaf in whole.items()}
        state, found = trainer(step, state, own)
        metrics |= {f"{name} {step}": float(mean.compute()) for name, mean in found.items()}
    if index == 0:
        leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(state))
        np.savez(out, **metrics, **{jax.tree_util.keystr(path): leaf for path, leaf in leaves})


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5])
