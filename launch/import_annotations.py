"""Turns COCO files of CVAT or Label Studio into an annotations.json.

    python -m launch.import_annotations --frames FOLDER --out DATASET/annotations.json \\
        --exports instances_default.json,person_keypoints_default.json

FOLDER is what annotation_frames wrote; the exports are one person's. See docs/annotation.md.
"""
import json

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_file

with needs("nurture"):
    from deps_jax.common.files import sealed
    from nurture_jax.records import coco_exports, frame_list
    from nurture_jax.records.problems import many

EXPORTS = flags.DEFINE_list("exports", None, "COCO files of the tool", required=True)
OUT = flags.DEFINE_string("out", None, "file to write, annotations.json of a data set",
                          required=True)
FRAMES = flags.DEFINE_string("frames", "", "folder of the pictures that were annotated")
VIDEO = flags.DEFINE_string("video", "", "path in the data set of a video that was uploaded to "
                            "CVAT as a whole")
UNMARKED = flags.DEFINE_bool("keep_unmarked", False, "pictures without any mark are finished too: "
                             "nothing is in them")


def main(_):
    out = output_file("out", OUT.value, (".json",))
    if out.exists():
        raise ValueError(f"--out {out} exists; move it away or give another name")
    if not FRAMES.value and not VIDEO.value:
        raise ValueError("nothing tells which frames were annotated; give --frames or --video")
    frames = frame_list.read(FRAMES.value) if FRAMES.value else {}
    found = coco_exports.read(EXPORTS.value, frames, video=VIDEO.value,
                              keep_unmarked=UNMARKED.value)
    if found.problems:
        raise ValueError(f"the exports cannot be used; mend and try again:\n"
                         f"{many(found.problems)}")
    sealed.replace(out, json.dumps(found.content))
    print(f"{found}\nwritten to {out}")


if __name__ == "__main__":
    run(main)
