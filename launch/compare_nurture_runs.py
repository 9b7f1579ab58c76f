"""Puts runs of NurtureNet side by side that were evaluated on the same infants, with their seeds.

    python -m launch.compare_nurture_runs --evaluation other_HOSPITAL --by site --out runs/both \\
        --runs "before=runs/a_0,runs/a_1;after=runs/b_0,runs/b_1"

Errors and coverage are of the visits that every run accepts; what each accepts stands beside them.
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from nurture_jax.report import side_by_side

RUNS = flags.DEFINE_string("runs", None, "NAME=FOLDER,FOLDER;NAME=FOLDER, ...: the runs of each "
                           "method, its seeds", required=True)
EVALUATION = flags.DEFINE_string("evaluation", "test", "which: a folder in each run's evaluation/")
BY = flags.DEFINE_string("by", "", "also for each value of this column, such as site or body")
OUT = flags.DEFINE_string("out", "runs/side_by_side", "folder for the table and its numbers")


def main(_):
    methods = {}
    for each in RUNS.value.split(";"):
        name, equals, folders = each.partition("=")
        if not (equals and name.strip() and all(folders.split(","))) or name.strip() in methods:
            raise ValueError(f"--runs holds {each!r}; give NAME=FOLDER,FOLDER for each method, "
                             f"separated by semicolons, each NAME once")
        methods[name.strip()] = [Path(folder.strip()) for folder in folders.split(",")]
    rows = side_by_side.compare(methods, EVALUATION.value, BY.value)
    side_by_side.write(Path(OUT.value), rows)
    print(f"{side_by_side.table(rows)}\n\nfiles: {OUT.value}/side_by_side.md, .json")


if __name__ == "__main__":
    run(main)
