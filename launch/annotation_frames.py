"""Takes frames out of the videos of a data set, to be annotated in CVAT or Label Studio.

    python -m launch.annotation_frames --data DATASET --out FOLDER

The pictures show infants: keep the folder as safe as the videos. How to annotate:
docs/annotation.md.
"""
from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_folder

with needs("nurture"):
    from nurture_jax.records import frame_list, validate

DATA = flags.DEFINE_string("data", None, "folder of the data set", required=True)
OUT = flags.DEFINE_string("out", None, "folder for the pictures and their list", required=True)
PER_VIDEO = flags.DEFINE_integer("per_video", frame_list.FRAMES_PER_VIDEO,
                                 "frames of each video, evenly spaced", lower_bound=1)


def main(_):
    out = output_folder("out", OUT.value)
    frame_list.check_free(out)  # before the videos are looked at
    listed, left_out = frame_list.extract(validate(DATA.value), out, PER_VIDEO.value)
    print(frame_list.described(listed, left_out, out))


if __name__ == "__main__":
    run(main)
