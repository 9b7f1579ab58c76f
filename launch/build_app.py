"""Builds the offline page of an exported network into a folder for any static server.

    python -m launch.build_app --model runs/newborns/exported/nurturenet_int8.onnx --out runs/page
"""
from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs

with needs("nurture"):
    from nurture_jax.app.build import build

MODEL = flags.DEFINE_string("model", None, "exported file, its card beside it", required=True)
OUT = flags.DEFINE_string("out", None, "folder of the page; an older page is replaced",
                          required=True)


def main(_):
    sizes = build(MODEL.value, OUT.value)
    print(f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB in {OUT.value}; look at them "
          f"with python -m launch.serve_app {OUT.value}")


if __name__ == "__main__":
    run(main)
