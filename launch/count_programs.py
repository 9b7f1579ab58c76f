"""Counts what training steps hold where they run on two GPUs or TPUs; none is needed here.

    python -m launch.count_programs             # which counts are other than recorded
    python -m launch.count_programs --write     # records them, where that is meant
"""
import re
from functools import partial
from pathlib import Path

import jax
from absl import flags

from configs import nurture
from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.reference import bench, program
from deps_jax.space.families import SPACES

with needs("nurture"):
    from nurture_jax.runs import bench as nurture_bench

DEVICES, DTYPES = 2, ("float32", "bfloat16")
FILE = flags.DEFINE_string("file", "docs/results/lowered_programs.json", "the recorded counts")
ONLY = flags.DEFINE_string("only", "", "regular expression of the programs wanted; empty takes all")
WRITE = flags.DEFINE_boolean("write", False, "record what was counted")


def programs():
    """What traces a step of a published space, or of NurtureNet's, by its name."""
    spaces = {name: space for name, space in SPACES.items() if name != "proxyless_google"}
    found = {f"{name}, {step}, {dtype}": partial(bench.traced_step, space, step, dtype, DEVICES)
             for name, space in spaces.items() for step in bench.STEPS for dtype in DTYPES}
    config = nurture.get_config("real").to_dict()
    return found | {f"nurture, {dtype}": partial(nurture_bench.traced_step, config, dtype, DEVICES)
                    for dtype in DTYPES}


def main(_):
    program.two_virtual_devices()
    path, found = Path(FILE.value), {}
    wanted = {name: trace for name, trace in programs().items() if re.search(ONLY.value, name)}
    if not wanted:
        raise ValueError(f"--only {ONLY.value} is none of: {'; '.join(programs())}")
    version, recorded = program.read_record(path)
    for name, trace in wanted.items():
        found |= (counted := program.counts_by_platform(name, trace()))
        print("\n".join(program.changes(counted, recorded)) or f"{name}: as recorded", flush=True)
    changed = program.changes(found, recorded)
    if WRITE.value:
        program.write_record(path, (recorded if ONLY.value else {}) | found)
        print(f"written: {path}")
    elif changed:
        print(f"recorded with jax {version}, counted with {jax.__version__}; where the change is "
              f"meant: python -m launch.count_programs --write")
    return 1 if changed and not WRITE.value else 0


if __name__ == "__main__":
    run(main)
