"""Estimates newborns from an exported file, without JAX; nothing leaves the machine.

    python -m nurture_jax.predict_file model.onnx video.mp4 --age_days 7 --sex F
    python -m nurture_jax.predict_file model.onnx --table ward/visits.csv --out estimates.csv

Exit code 2: bad input, in one sentence. 3: the recording was rejected, with the reasons.
"""
from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from deps_jax.common.command.arguments import OneSentence
from deps_jax.common.command.mendable import is_mendable, sentence
from deps_jax.common.command.outputs import output_file

BAD_INPUT, REJECTED = 2, 3
NEEDED = ("numpy", "onnxruntime", "av")  # besides this program
KNOWN = ("age_days", "birth_date", "visit_date", "birth_weight_g", "sex", "gestational_age_days",
         "reference_cm", "infant_id", "visit_id")  # of one infant; those of a table stand in it


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    Args:
      arguments: Those of the command line; None takes those of the process.
    """
    try:
        flags = _flags().parse_args(arguments)
        _check(flags)
        _check_installed()
        return _table(flags) if flags.table else _video(flags)
    except Exception as error:
        if not is_mendable(error):
            raise
        print(f"error: {sentence(error)}", file=sys.stderr)
        return BAD_INPUT


def _check(flags: argparse.Namespace) -> None:
    """Raises ValueError for flags that do not go together, so that none is silently ignored."""
    if not (flags.video or flags.table):
        raise ValueError("neither a video nor --table is given; give one of them")
    if flags.table and (flags.video or not flags.out):
        raise ValueError("--table needs --out, a .csv, and no video beside it")
    if flags.out and not flags.table:
        raise ValueError("--out is the answer to --table, and a video was given; give --audit for "
                         "a file of its record, or leave --out out")
    given = [f"--{name}" for name in (*KNOWN, "earlier", "json")
             if getattr(flags, name) not in (None, "") and getattr(flags, name) is not False]
    if flags.table and given:
        raise ValueError(f"{', '.join(given)} would be of one video, and --table is of many; leave "
                         f"that out, and write what is known of each visit into its row")
    if flags.threads < 1:
        raise ValueError(f"--threads {flags.threads} is below 1; give a whole number of at least 1")


def _check_installed() -> None:
    """Raises ValueError for the first package that is missing."""
    for name in NEEDED:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            absent = (error.name or name).split(".")[0]  # perhaps one that it needs itself
            raise ValueError(f"{absent} is not installed; an exported file is run with "
                             f"{', '.join(NEEDED[:-1])} and {NEEDED[-1]}: pip install "
                             f"{' '.join(NEEDED)}") from None


def _video(flags: argparse.Namespace) -> int:
    from nurture_jax.clinic.thresholds import Earlier
    from nurture_jax.deploy.file_model import open_predictor
    from nurture_jax.runs.predict import keep, recording, text, told

    known = told({name: getattr(flags, name) for name in KNOWN})
    earlier = [Earlier.of_scale(each) for each in flags.earlier.split(",") if each]
    recording(flags.video, earlier, **known)  # refused before anything is opened
    audit = output_file("audit", flags.audit) if flags.audit else None
    found = open_predictor(flags.model, flags.threads)(flags.video, earlier=earlier, **known)
    print(json.dumps(found.audit, indent=2) if flags.json else text(found))
    keep(found, audit)
    return 0 if found.assessment else REJECTED


def _table(flags: argparse.Namespace) -> int:
    from nurture_jax.deploy.file_model import open_predictor
    from nurture_jax.runs import predict_table

    table = Path(flags.table)
    visits = predict_table.read(table)
    out = output_file("out", flags.out, (".csv",))
    audit = output_file("audit", flags.audit) if flags.audit else None
    predictor = open_predictor(flags.model, flags.threads)
    answers = predict_table.predict(predictor, visits, table.parent)
    print(f"{predict_table.write(answers, out, audit)}\nanswer: {out}")
    return 0


def _flags() -> argparse.ArgumentParser:
    parser = OneSentence(
        prog="python -m nurture_jax.predict_file", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the .onnx file, its card beside it")
    parser.add_argument("video", nargs="?", default="", help="of the infant beside the ruler")
    parser.add_argument("--age_days", type=float, help="since birth")
    parser.add_argument("--birth_date", default="", help="like 2026-03-09, with --visit_date in "
                        "the place of --age_days; neither is kept")
    parser.add_argument("--visit_date", default="", help="of the recording")
    parser.add_argument("--birth_weight_g", type=float, help="in grams")
    parser.add_argument("--sex", default="", help="F or M")
    parser.add_argument("--gestational_age_days", type=float, help="at birth, 280 is term")
    parser.add_argument("--reference_cm", type=float, help="length of the ruler or card in the "
                        "video; needed where training had not only 30 cm")
    parser.add_argument("--infant_id", default="", help="whose visit it is, for the audit record")
    parser.add_argument("--visit_id", default="", help="which one, for the audit record")
    parser.add_argument("--earlier", default="", help="weights of a scale: DAY:GRAMS,DAY:GRAMS")
    parser.add_argument("--table", default="", help="visits, one a row (docs/nurture_data.md)")
    parser.add_argument("--out", default="", help="file of the answer to --table, a .csv")
    parser.add_argument("--json", action="store_true", help="print the audit record")
    parser.add_argument("--audit", default="", help="file that audit records are added to")
    parser.add_argument("--threads", type=int, default=1, help="of onnxruntime")
    return parser


if __name__ == "__main__":
    sys.exit(main())
