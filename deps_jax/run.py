"""Classifies pictures with an exported model and its card: no JAX, no training code.

    python -m deps_jax.run model.onnx photo.jpg
"""
from __future__ import annotations

import sys
from pathlib import Path

from deps_jax.common.command.arguments import OneSentence
from deps_jax.common.command.mendable import is_mendable, sentence
from deps_jax.export.runtime import Model


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 2 after an error that it has printed."""
    parser = OneSentence(prog="python -m deps_jax.run",
                         description="Classifies pictures with an exported model.")
    parser.add_argument("model", type=Path, help="NAME.onnx, with its card NAME.json beside it")
    parser.add_argument("photos", type=Path, nargs="+", help="pictures to classify")
    parser.add_argument("--top", type=int, default=5, help="classes to show")
    parser.add_argument("--threads", type=int, default=1, help="of onnxruntime")
    try:
        options = parser.parse_args(arguments)
        if options.top < 1 or options.threads < 0:
            raise ValueError(f"--top {options.top} and --threads {options.threads} must be 1 or "
                             f"more (threads of 0 are all cores)")
        model = Model(options.model, options.threads)
        for photo in options.photos:
            if not photo.is_file():
                raise ValueError(f"{photo} does not exist; give the path of a picture")
            print(photo)
            for name, probability in model.classify(photo, options.top):
                print(f"  {probability:6.1%}  {name}")
    except Exception as error:
        if not is_mendable(error):
            raise
        print(f"error: {sentence(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
