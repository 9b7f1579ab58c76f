"""Writes the reference card of 20 cm that is laid beside the newborn, for a printer.

    python -m launch.reference_card --out card.pdf

Print at 100 % and measure the square: docs/capture.md.
"""
from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_file

with needs("nurture"):
    from deps_jax.common.files import sealed
    from nurture_jax.report.reference_card import PAPERS_MM, card

OUT = flags.DEFINE_string("out", None, "file of the card, a .pdf", required=True)
PAPER = flags.DEFINE_list("paper", list(PAPERS_MM), "a page for each of A4 and Letter")


def main(_):
    content = card(PAPER.value)
    path = output_file("out", OUT.value, (".pdf",))
    sealed.replace(path, content)
    print(f"{path}: print at 100 %, measure the square of 10 cm, tell reference_cm 20")


if __name__ == "__main__":
    run(main)
