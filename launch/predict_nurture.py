"""Estimates one newborn from a video and what is known of it; nothing leaves the machine.

    python -m launch.predict_nurture --workdir runs/newborns --video v.mp4 --age_days 7 \\
        --birth_weight_g 2850 --sex F

Exit code 3: the recording was rejected, with the reasons.
"""
import json
import time
from pathlib import Path

import cv2
from absl import flags

from deps_jax.common.cli import run
from nurture_jax.predict import Predictor, text

REJECTED = 3
WORKDIR = flags.DEFINE_string("workdir", None, "folder of an evaluated training run", required=True)
VIDEO = flags.DEFINE_string("video", None, "of the infant beside the ruler", required=True)
AGE = flags.DEFINE_float("age_days", None, "since birth")
BIRTH_WEIGHT = flags.DEFINE_float("birth_weight_g", None, "in grams")
SEX = flags.DEFINE_string("sex", "", "F or M")
GESTATION = flags.DEFINE_float("gestational_age_days", None, "at birth, 280 is term")
JSON = flags.DEFINE_bool("json", False, "print the audit record instead of lines")
AUDIT = flags.DEFINE_string("audit", "", "file to which the audit record is added, one JSON a line")
PICTURE = flags.DEFINE_string("picture", "", "file for the middle frame with what the model saw")


def main(_):
    predictor = Predictor.open(Path(WORKDIR.value))
    start = time.monotonic()
    found = predictor(Path(VIDEO.value), age_days=AGE.value, birth_weight_g=BIRTH_WEIGHT.value,
                      sex=SEX.value, gestational_age_days=GESTATION.value)
    seconds = time.monotonic() - start
    if AUDIT.value:
        with Path(AUDIT.value).open("a") as file:
            file.write(json.dumps(found.audit) + "\n")
    if PICTURE.value and not cv2.imwrite(PICTURE.value, found.frame[..., ::-1]):
        raise ValueError(f"{PICTURE.value} cannot be written; give a name that ends with .png")
    print(json.dumps(found.audit, indent=2) if JSON.value else f"{text(found)}\n({seconds:.1f} s)")
    return 0 if found.assessment else REJECTED


if __name__ == "__main__":
    run(main)
