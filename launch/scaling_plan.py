"""What a step of DepS on ImageNet would take on 8 to 256 chips, by a model of it; none was run.

    python -m launch.scaling_plan                    # TPU v5e and H100, both kinds of step
    python -m launch.scaling_plan --batch_norm per_device
    python -m launch.scaling_plan --check            # the model against processes of this machine

--check exits with 1 if a prediction is off by more than 15 %; it wants two quiet cores.
"""
import os
import sys
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.nn.operations import NORMS, SYNCHRONISED
from deps_jax.reference import scaling, scaling_check
from deps_jax.space.families import MOBILENET_V3

KINDS = flags.DEFINE_list("chips", list(scaling.KINDS), "kinds of chips")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 2048, "images of a step in all", lower_bound=1)
RATE = flags.DEFINE_float("images_per_core", 106.0, "a second, decoded and cropped by a core: see "
                          "launch.bench_data", lower_bound=0.001)
NORM = flags.DEFINE_enum("batch_norm", SYNCHRONISED, NORMS, "as training.batch_norm")
CHECK = flags.DEFINE_boolean("check", False, "compare the model with processes instead")
ROUNDS = flags.DEFINE_integer("rounds", 15, "how often --check times everything", lower_bound=1)
OUT = flags.DEFINE_string("out", "", "file of a process that --check starts")


def main(_):
    if OUT.value:
        scaling_check.member(Path(OUT.value), ROUNDS.value)
        return 0
    if CHECK.value:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        found = scaling_check.check([sys.executable, "-m", "launch.scaling_plan"], ROUNDS.value)
        print("\n".join(map(str, found)))
        return int(any(abs(each.error) > scaling_check.ALLOWED for each in found))
    if unknown := set(KINDS.value) - set(scaling.KINDS):
        raise ValueError(f"--chips holds {min(unknown)!r}; it takes {', '.join(scaling.KINDS)}")
    space = MOBILENET_V3.with_choices(kernels=(7,))
    for chip in (scaling.KINDS[name] for name in KINDS.value):
        for step in scaling.STEPS:
            rows = scaling.plan(chip, space, step, BATCH_SIZE.value, RATE.value,
                                NORM.value == SYNCHRONISED)
            print(f"{chip.name}, {step}, batch {BATCH_SIZE.value} in all, batch norm {NORM.value}; "
                  f"never run\n\n{scaling.text(rows)}\n")
        print("\n".join(f"- {source}" for source in chip.sources), end="\n\n")
    return 0


if __name__ == "__main__":
    run(main, together=True)
