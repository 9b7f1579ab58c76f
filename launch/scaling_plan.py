"""What a step of DepS on ImageNet would take on 8 to 256 chips, by a model of it; none was run.

    python -m launch.scaling_plan --images_per_core 338          # TPU v5e and H100, both steps
    python -m launch.scaling_plan --images_per_core 338 --write  # puts that into docs/
    python -m launch.scaling_plan --batch_norm per_device
    python -m launch.scaling_plan --check     # the model against processes of this machine

--check exits with 1 if a prediction is off by more than 15 %, with 3 if the machine was too busy to
tell; it wants two quiet cores.
"""
import sys
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.nn.operations import NORMS, SYNCHRONISED
from deps_jax.reference import scaling, scaling_check, scaling_page

KINDS = flags.DEFINE_list("chips", list(scaling.KINDS), "kinds of chips")
BATCH_SIZE = flags.DEFINE_integer("batch_size", scaling_page.BATCH_SIZE, "images of a step in all",
                                  lower_bound=1)
RATE = flags.DEFINE_float("images_per_core", 338.0, "a second, made ready by a core: see "
                          "launch.bench_data", lower_bound=0.001)
NORM = flags.DEFINE_enum("batch_norm", SYNCHRONISED, NORMS, "as training.batch_norm")
WRITE = flags.DEFINE_boolean("write", False, "put the tables into docs/ instead")
CHECK = flags.DEFINE_boolean("check", False, "compare the model with processes instead")
ROUNDS = flags.DEFINE_integer("rounds", 15, "how often --check times everything", lower_bound=1)
OUT = flags.DEFINE_string("out", "", "file of a process that --check starts")


def main(_):
    if OUT.value:
        scaling_check.member(Path(OUT.value), ROUNDS.value)
        return 0
    if CHECK.value:
        found = scaling_check.check([sys.executable, "-m", "launch.scaling_plan"], ROUNDS.value)
        print(found)
        return found.exit_code
    if WRITE.value:
        scaling_page.write(RATE.value)
        print(f"written: {', '.join(map(str, scaling_page.PAGES.values()))}")
        return 0
    if unknown := set(KINDS.value) - set(scaling.KINDS):
        raise ValueError(f"--chips holds {min(unknown)!r}; it takes {', '.join(scaling.KINDS)}")
    print(scaling_page.tables(RATE.value, BATCH_SIZE.value, NORM.value == SYNCHRONISED,
                              [scaling.KINDS[name] for name in KINDS.value]))
    print(f"\n{scaling_page.costs(RATE.value)}")
    return 0


if __name__ == "__main__":
    run(main, together=True)
