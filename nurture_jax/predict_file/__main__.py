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
from pathlib import Path

from deps_jax.common.command.arguments import OneSentence
from deps_jax.common.command.mendable import is_mendable, sentence
from deps_jax.common.command.outputs import output_file

BAD_INPUT, REJECTED = 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    Args:
      arguments: Those of the command line; None takes those of the process.
    """
    try:
        flags = _flags().parse_args(arguments)
        return _table(flags) if flags.table else _video(flags)
    except Exception as error:
        if not is_mendable(error):
            raise
        print(f"error: {sentence(error)}", file=sys.stderr)
        return BAD_INPUT


def _video(flags: argparse.Namespace) -> int:
    from deps_jax.common.files import sealed
    from nurture_jax.clinic.thresholds import Earlier
    from nurture_jax.deploy.file_model import open_predictor
    from nurture_jax.runs.predict import recording, text

    if not flags.video:
        raise ValueError("neither a video nor --table is given; give one of them")
    audit = output_file("audit", flags.audit) if flags.audit else None
    known = {name: getattr(flags, name) for name in (
        "age_days", "birth_weight_g", "sex", "gestational_age_days", "reference_cm")}
    earlier = [Earlier.of_scale(each) for each in flags.earlier.split(",") if each]
    recording(flags.video, earlier, **known)  # refused before anything is opened
    found = open_predictor(flags.model, flags.threads)(flags.video, earlier=earlier, **known)
    print(json.dumps(found.audit, indent=2) if flags.json else text(found))
    if audit:
        sealed.add(audit, json.dumps(found.audit) + "\n")
    return 0 if found.assessment else REJECTED


def _table(flags: argparse.Namespace) -> int:
    from deps_jax.common.files import sealed
    from nurture_jax.deploy.file_model import open_predictor
    from nurture_jax.runs import predict_table

    if flags.video or not flags.out:
        raise ValueError("--table needs --out, a .csv, and no video beside it")
    table, out = Path(flags.table), output_file("out", flags.out, (".csv",))
    audit = output_file("audit", flags.audit) if flags.audit else None
    visits = predict_table.read(table)
    predictor = open_predictor(flags.model, flags.threads)
    answers = list(predict_table.predict(predictor, visits, table.parent))
    sealed.replace(out, predict_table.table(answers))
    if audit:
        sealed.add(audit, "".join(json.dumps(answer.prediction.audit) + "\n"
                                  for answer in answers if answer.prediction))
    print(f"{predict_table.summary(answers)}\nanswer: {out}")
    return 0


def _flags() -> argparse.ArgumentParser:
    parser = OneSentence(
        prog="python -m nurture_jax.predict_file", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the .onnx file, its card beside it")
    parser.add_argument("video", nargs="?", default="", help="of the infant beside the ruler")
    parser.add_argument("--age_days", type=float, help="since birth")
    parser.add_argument("--birth_weight_g", type=float, help="in grams")
    parser.add_argument("--sex", default="", help="F or M")
    parser.add_argument("--gestational_age_days", type=float, help="at birth, 280 is term")
    parser.add_argument("--reference_cm", type=float, help="length of the ruler or card in the "
                        "video; needed where training had not only 30 cm")
    parser.add_argument("--earlier", default="", help="weights of a scale: DAY:GRAMS,DAY:GRAMS")
    parser.add_argument("--table", default="", help="visits, one a row (docs/nurture_data.md)")
    parser.add_argument("--out", default="", help="file of the answer to --table, a .csv")
    parser.add_argument("--json", action="store_true", help="print the audit record")
    parser.add_argument("--audit", default="", help="file that audit records are added to")
    parser.add_argument("--threads", type=int, default=1, help="of onnxruntime")
    return parser


if __name__ == "__main__":
    sys.exit(main())
