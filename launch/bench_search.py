"""Accuracy predictor and search on measurements that others have published.

    python -m launch.bench_search --data_dir ../shared/data

Parts: predictor (order and error on networks that it has not seen), search (accuracies asked for,
beside pymoo's NSGA-II, random search and published searches), device (OFA's Galaxy Note10). See
`reference.search_bench`.
"""
import json
import os
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.files.sealed import replace

with needs("export"):
    from deps_jax.reference import search_bench

DATA_DIR = flags.DEFINE_string(
    "data_dir", str(Path(os.environ.get("DEPS_SHARED", "../shared")) / "data"),
    "folder that holds ofa_imagenet and ofa_note10; if not given, that of DEPS_SHARED")
PARTS = flags.DEFINE_list("parts", list(search_bench.PARTS), "what to run")
SEEDS = flags.DEFINE_integer("seeds", 5, "how often everything random is repeated", lower_bound=1)
OUT = flags.DEFINE_string("out", "runs/bench", "folder for the JSON")


def main(_):
    report = search_bench.benchmark(Path(DATA_DIR.value), PARTS.value, SEEDS.value)
    path = Path(OUT.value) / "search.json"
    replace(path, json.dumps(report, indent=2) + "\n")
    print(f"{search_bench.text(report)}\n\nwritten: {path}")


if __name__ == "__main__":
    run(main)
