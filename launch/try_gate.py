"""Tries the gate of an evaluated run on what it must refuse, and on newborns of its test split.

    python -m launch.try_gate --workdir runs/newborns --photos FOLDER

FOLDER holds your own pictures and videos without a newborn; pictures are panned and zoomed.
"""
from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs

with needs("nurture"):
    from nurture_jax.runs import calibration, gate_test, ruler_test

WORKDIR = flags.DEFINE_string("workdir", None, "folder of an evaluated training run", required=True)
PHOTOS = flags.DEFINE_string("photos", "", "folder of pictures and videos without a newborn")
CLIPS = flags.DEFINE_integer("clips", 100, "of each kind that is drawn, and of all pictures of a "
                             "folder; of more pictures one each")
RENDERED = flags.DEFINE_integer("rendered", 0, "rendered clips of each kind (some 400 a minute and "
                                "core at 96 px)")
KINDS = flags.DEFINE_list("kinds", [], "kinds that are drawn or rendered, all if none is given")
RULERS = flags.DEFINE_integer("rulers", 0, "rendered infants, each beside rulers of 15, 20, 30 and "
                              "60 cm, a bank card and the printed strip, told rightly and wrongly; "
                              "nothing else is tried")
DATA = flags.DEFINE_string("data", "", "where the data set lies now, if it has moved")


def main(_):
    if RULERS.value:
        print(ruler_test.table(ruler_test.try_rulers(WORKDIR.value, RULERS.value)))
        return
    tried = gate_test.try_gate(WORKDIR.value, clips=CLIPS.value, photos=PHOTOS.value,
                                rendered_clips=RENDERED.value, kinds=KINDS.value,
                                data_dir=DATA.value)
    print(f"{gate_test.table(tried, calibration.load(WORKDIR.value))}\n\n"
          f"files: {WORKDIR.value}/{gate_test.OUT}/gate_test.md, .json")


if __name__ == "__main__":
    run(main)
