"""How well two annotators agree on the frames that both annotated.

    python -m launch.annotator_agreement --first a/annotations.json --second b/annotations.json

Each file is what import_annotations wrote of one person's work. See docs/annotation.md.
"""
import dataclasses
import json
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_file

with needs("nurture"):
    from deps_jax.common.files import sealed
    from nurture_jax.evaluation.annotator_agreement import compare, described
    from nurture_jax.records import annotations
    from nurture_jax.records.problems import many

FIRST = flags.DEFINE_string("first", None, "annotations.json of the first", required=True)
SECOND = flags.DEFINE_string("second", None, "annotations.json of the second", required=True)
JSON = flags.DEFINE_string("json", "", "file for all numbers")


def read(name: str) -> dict:
    """The frames of a file, or its problems as an error."""
    if not Path(name).is_file():
        raise ValueError(f"{name} does not exist; give a file that import_annotations wrote")
    parts, problems = annotations.load(Path(name))
    frames, found = annotations.parse(*parts) if parts else ({}, [])
    if problems + found:
        raise ValueError(f"{name} cannot be used:\n{many(problems + found)}")
    return frames


def main(_):
    out = output_file("json", JSON.value, (".json",)) if JSON.value else None
    found = compare(read(FIRST.value), read(SECOND.value))
    print(described(found))
    if out:
        sealed.replace(out, json.dumps(dataclasses.asdict(found), indent=1))


if __name__ == "__main__":
    run(main)
