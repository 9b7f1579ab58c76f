"""Estimates one newborn from a video and what is known of it; nothing leaves the machine.

    python -m launch.predict_nurture --workdir runs/newborns --video v.mp4 --age_days 7 \\
        --birth_weight_g 2850 --sex F

Exit code 3: the recording was rejected, with the reasons.
"""
import json
import time
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_file

with needs("nurture"):
    from nurture_jax.clinic.thresholds import Earlier
    from nurture_jax.runs.drawn import ENDINGS
    from nurture_jax.runs.predict import Predictor, keep, recording, text, told

REJECTED = 3
WORKDIR = flags.DEFINE_string("workdir", None, "folder of an evaluated training run", required=True)
VIDEO = flags.DEFINE_string("video", None, "of the infant beside the ruler", required=True)
AGE = flags.DEFINE_float("age_days", None, "since birth")
BIRTH = flags.DEFINE_string("birth_date", "", "with --visit_date in the place of --age_days")
DAY = flags.DEFINE_string("visit_date", "", "of the recording, like 2026-03-09; neither is kept")
BIRTH_WEIGHT = flags.DEFINE_float("birth_weight_g", None, "in grams")
SEX = flags.DEFINE_string("sex", "", "F or M")
GESTATION = flags.DEFINE_float("gestational_age_days", None, "at birth, 280 is term")
REFERENCE = flags.DEFINE_float("reference_cm", None, "of the ruler; if training had not only 30")
INFANT = flags.DEFINE_string("infant_id", "", "whose visit it is, for the audit record")
VISIT = flags.DEFINE_string("visit_id", "", "which one, for the audit record")
EARLIER = flags.DEFINE_list("earlier", [], "earlier weights of a scale: DAY:GRAMS,DAY:GRAMS")
JSON = flags.DEFINE_bool("json", False, "print the audit record instead of lines")
INTERVALS = flags.DEFINE_string("intervals", "", "intervals.json of another hospital")
AUDIT = flags.DEFINE_string("audit", "", "file to which the audit record is added, one JSON a line")
PICTURE = flags.DEFINE_string("picture", "", "file for the middle frame with what the model saw")


def main(_):
    known = told({flag.name: flag.value for flag in (
        AGE, BIRTH, DAY, BIRTH_WEIGHT, SEX, GESTATION, REFERENCE, INFANT, VISIT)})
    earlier = [Earlier.of_scale(each) for each in EARLIER.value]
    recording(VIDEO.value, earlier, **known)  # refused before anything is opened
    audit = output_file("audit", AUDIT.value) if AUDIT.value else None
    picture = output_file("picture", PICTURE.value, ENDINGS) if PICTURE.value else None
    predictor = Predictor.open(Path(WORKDIR.value), INTERVALS.value)
    start = time.monotonic()
    found = predictor(Path(VIDEO.value), earlier=earlier, **known)
    seconds = time.monotonic() - start
    print(json.dumps(found.audit, indent=2) if JSON.value else f"{text(found)}\n({seconds:.1f} s)",
          flush=True)
    keep(found, audit, picture)
    return 0 if found.assessment else REJECTED


if __name__ == "__main__":
    run(main)
