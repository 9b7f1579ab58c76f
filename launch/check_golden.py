"""Checks parity with recorded numbers of the PyTorch reference: the largest deviation of each kind.

    python -m launch.check_golden --dir ../shared/golden
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.reference.golden import Skipped, check_folder

DIR = flags.DEFINE_string("dir", None, "folder of records, or folder of such folders",
                          required=True)
ALL = flags.DEFINE_boolean("all", False, "print every check as it is made")


def main(_):
    largest, failures = {}, 0
    for check in check_folder(Path(DIR.value)):
        if isinstance(check, Skipped):
            print(f"skip {check.folder}: {check.reason}", flush=True)
            continue
        failures += not check.passed
        if ALL.value or not check.passed:
            show(check)
        kind = check.folder, check.what
        if kind not in largest or check.deviation > largest[kind].deviation:
            largest[kind] = check
    for check in largest.values():
        show(check)
    print(f"{failures} checks failed" if failures else "all checks passed")
    return 1 if failures else 0


def show(check):
    print(f"{'ok  ' if check.passed else 'FAIL'} {check.folder}  {check.what}: "
          f"{check.deviation:.2g} (limit {check.limit:.2g}) at {check.subject}", flush=True)


if __name__ == "__main__":
    run(main)
