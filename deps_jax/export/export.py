"""A subnet as a file for a device, checked against the supernet, with a model card beside it."""
from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from deps_jax.common.files import sealed
from deps_jax.data.folder import images_in
from deps_jax.data.images import read_image
from deps_jax.data.load import short_side
from deps_jax.data.sources import ArraySource
from deps_jax.evaluation.certainty import (
    KNOWN_TO,
    ends,
    interval,
    is_known,
    least_for,
    needed,
    percent,
)
from deps_jax.evaluation.meter import Meter
from deps_jax.export import model_card, onnx_writer
from deps_jax.export.device_timer import describe_device, measure
from deps_jax.export.runtime import Model, Preprocessing, beside, read_card
from deps_jax.export.stablehlo import from_stablehlo, to_stablehlo
from deps_jax.export.static_int8 import quantise_statically
from deps_jax.runs.trained import TrainedRun, file_name, save_statistics
from deps_jax.space.subnet import Subnet
from deps_jax.space.subnet_text import encode
from deps_jax.supernet import network

FORMATS = ("onnx", "stablehlo")
PRECISIONS = (*onnx_writer.PRECISIONS, "int8_static")
# What an export must keep to be called OK: logits for full precision, decisions for the others. OK
# is said only where images suffice to say so: the lower end of the agreement's interval keeps it,
# too, and the file's accuracy is known (`certainty.is_known`).
LARGEST_DIFFERENCE = 1e-4
STATIC_CALIBRATION_IMAGES = 200
LEAST_AGREEMENT = {"fp32": 0.999, "fp16": 0.99, "int8": 0.98, "int8_static": 0.9}


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """How a subnet is exported.

    Attributes:
      format: "onnx", or "stablehlo" (fp32 only).
      precision: "fp32", "fp16", "int8" (weights only) or "int8_static" (activations, too).
      resolution: Side of the images in pixels; None is the space's own.
      images: Number of held-out images for the check; 0 takes all of them.
      calibration_dir: Folder of photos that give "int8_static" its ranges; "" takes the run's
        calibration images. Of either the first 200 are used.
      threads: Threads of onnxruntime, for the check and the latency.
    """

    format: str = "onnx"
    precision: str = "fp32"
    resolution: int | None = None
    images: int = 0
    calibration_dir: str = ""
    threads: int = 1

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision {self.precision!r} is unknown; use one of {PRECISIONS}")
        if self.format not in FORMATS:
            raise ValueError(f"format {self.format!r} is unknown; use one of {FORMATS}")
        if self.format == "stablehlo" and self.precision != "fp32":
            raise ValueError(f"stablehlo is written in fp32, not {self.precision}; choose onnx for "
                             f"other precisions")


@dataclasses.dataclass(frozen=True)
class Exported:
    """An exported model: where it is, what its card says, and why it may not be used.

    Attributes:
      path: Path of the model.
      card: Its model card, as plain values.
      failures: Sentences that say what is not kept; empty when the model keeps what the supernet
        promised.
      doubts: Sentences that say what so few images cannot tell; it is OK without any of both.
    """

    path: Path
    card: dict
    failures: tuple[str, ...]
    doubts: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """"OK", or what is not kept and what is not known, a line each."""
        return verdict(self.failures, self.doubts)


def export(run: TrainedRun, subnet: Subnet, folder: Path,
           settings: ExportSettings = ExportSettings(), split: str = "validation",
           meter: Meter | None = None) -> Exported:
    """Cuts out, recalibrates, writes, runs and compares one subnet.

    Writes NAME.onnx, NAME.json (the card) and NAME.batch_stats.npz in `folder`, or NAME.stablehlo,
    NAME.stablehlo.json and NAME.stablehlo.batch_stats.npz.

    Args:
      subnet: A static subnet.
      split: Name of the split whose images it is compared on, "validation" or "test".
      meter: Meter of these images at this resolution, where there is one already.

    Raises:
      ValueError: If settings do not fit the run; raised before anything is compiled.
    """
    photos = images_in(Path(settings.calibration_dir)) if settings.calibration_dir else []
    resolution = settings.resolution or run.space.resolution
    run.check_trained(subnet)
    meter = meter or run.meter(run.held_out(split, settings.images), resolution=resolution)
    expected, batch_stats = meter.logits(run.params, subnet)
    cut = network.extract(run.space, run.params, batch_stats, subnet, resolution)
    preprocessing = Preprocessing(short_side(run.experiment.data, resolution), resolution,
                                  run.experiment.augment.mean, run.experiment.augment.std)
    content = _content(cut, settings, preprocessing, photos, meter)
    name = f"{file_name(encode(run.space, subnet))}_{resolution}px_{settings.precision}"
    path = Path(folder) / f"{name}.{settings.format}"
    sealed.replace(path, content)
    card = model_card.describe(run, subnet, cut, preprocessing, settings.precision)
    card |= {"model": path.name, "size_bytes": len(content),
             "sha256": hashlib.sha256(content).hexdigest()}
    model_card.write(path, card)  # what follows runs the two files as a device would
    save_statistics(beside(path, ".batch_stats.npz"), batch_stats)
    results, failures = compare(_runner(path, settings), meter.held_out, expected,
                                settings.precision)
    unsure = doubts(results, settings.precision)
    card["check"] = {"ok": not failures and not unsure, "failures": failures, "unsure": unsure,
                     "split": split, **results}
    if settings.format == "onnx":
        latency = measure({"": content}, threads=settings.threads,
                          entries=card["session_options"])[""]
        card["latency"] = {**latency, "batch_size": 1, "device": describe_device(settings.threads)}
    model_card.write(path, card)
    return Exported(path, card, tuple(failures), tuple(unsure))


def _content(cut: network.Network, settings: ExportSettings, preprocessing: Preprocessing,
             photos: list[Path], meter: Meter) -> bytes:
    if settings.format == "stablehlo":
        return to_stablehlo(cut)
    if settings.precision != "int8_static":
        return onnx_writer.write(cut.layers, cut.weights, settings.precision).SerializeToString()
    if photos:
        inputs = preprocessing([read_image(path) for path in photos[:STATIC_CALIBRATION_IMAGES]])
    else:
        pixels = np.concatenate(np.asarray(meter.calibration))
        inputs = preprocessing.normalise(pixels[:STATIC_CALIBRATION_IMAGES])
    model = quantise_statically(onnx_writer.write(cut.layers, cut.weights), inputs)
    return model.SerializeToString()


def _runner(path: Path, settings: ExportSettings) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images [b, r, r, 3] uint8 to logits that reads nothing but the two files."""
    if settings.format == "onnx":
        model = Model(path, settings.threads)
        return lambda pixels: model.run(model.preprocessing.normalise(pixels))
    normalise = Preprocessing(**read_card(path)["preprocessing"]).normalise
    run = from_stablehlo(path.read_bytes())
    return lambda pixels: np.asarray(run(normalise(pixels).transpose(0, 2, 3, 1)))


def compare(run: Callable[[np.ndarray], np.ndarray], held_out: ArraySource, expected: np.ndarray,
            precision: str, batch_size: int = 100) -> tuple[dict, list[str]]:
    """How an exported model does beside the supernet's own logits.

    Args:
      run: The exported model as a function from images [b, r, r, 3] uint8 to logits [b, classes].
      held_out: Images [n, r, r, 3] uint8 as the network sees them, with their labels.
      expected: Logits of the supernet, [n, classes].
      precision: Precision of the export, which decides what must be kept.

    Returns:
      Figures by name, and sentences that say what is not kept: none when all is well.
    """
    batches = np.split(held_out.images, range(batch_size, len(held_out), batch_size))
    logits = np.concatenate([run(batch) for batch in batches])
    accuracy = lambda values: float((values.argmax(1) == held_out.labels).mean())
    difference = float(np.abs(logits - expected).max())
    agreement = float((logits.argmax(1) == expected.argmax(1)).mean())
    failures = []
    if not np.isfinite(logits).all():
        failures.append("the model gives logits that are not numbers")
    if precision == "fp32" and not difference <= LARGEST_DIFFERENCE:
        failures.append(f"logits differ by up to {difference:.2g} from the supernet's, allowed is "
                        f"{LARGEST_DIFFERENCE:g}")
    if agreement < LEAST_AGREEMENT[precision]:
        failures.append(f"{agreement:.1%} of the decisions agree with the supernet's, "
                        f"{precision} needs {LEAST_AGREEMENT[precision]:.1%}")
    shares = {"top1_supernet": accuracy(expected), "top1": accuracy(logits),
              "top1_agreement": agreement}
    figures = {"images": len(held_out), "largest_difference": difference}
    for name, share in shares.items():
        figures |= {name: share, **ends(name, share, len(held_out))}
    return figures, failures


def doubts(figures: Mapping, precision: str) -> list[str]:
    """What the images of a check do not suffice to say, in sentences; none when they do.

    In full precision logits have been compared, for which few images do.

    Args:
      figures: As `compare` returns them.
    """
    images, sentences = figures["images"], []
    agreement, least = figures["top1_agreement"], LEAST_AGREEMENT[precision]
    shown = interval(agreement, images).low
    if precision != "fp32" and shown < least <= agreement:
        sentences.append(f"that {agreement:.1%} of {images} decisions agree with the supernet's "
                         f"shows that {shown:.1%} do, {precision} needs {least:.1%}; check on "
                         f"{least_for(least)} images or more")
    if not is_known(figures["top1"], images):
        sentences.append(f"top-1 of the file is known as {percent(figures['top1'], images)} only, "
                         f"on {images} images; hold {needed(figures['top1'])} or more out to know "
                         f"it to +-{100 * KNOWN_TO:.0f} points")
    return sentences


def verdict(failures: Sequence[str], unsure: Sequence[str]) -> str:
    """"OK", or what is not kept and what is not known, a line each."""
    return "\n".join([*(f"NOT OK: {sentence}" for sentence in failures),
                      *(f"UNSURE: {sentence}" for sentence in unsure)] or ["OK"])


def summary(exported: Exported) -> str:
    """What was exported and how well it does, in a few lines for the terminal."""
    card, check = exported.card, exported.card["check"]
    share = lambda name: percent(check[name], check["images"])
    lines = [
        f"{exported.path}",
        f"  {card['subnet']} at {card['preprocessing']['resolution']} px, {card['precision']}: "
        f"{card['macs'] / 1e6:.2f} M MACs, {card['size_bytes'] / 1e6:.3f} MB",
        f"  top-1 {share('top1')}, in the supernet {share('top1_supernet')}, agreement "
        f"{share('top1_agreement')}, largest difference {check['largest_difference']:.2g}, "
        f"on {check['images']} {check['split']} images",
        f"  of the checkpoint of step {card['training']['step']}"]
    if latency := card.get("latency"):
        device = latency["device"]
        lines.append(f"  latency {latency['p10_ms']:.2f} ms (p10), {latency['median_ms']:.2f} ms "
                     f"(median), {device['threads']} thread(s) of {device['processor']}")
    return "\n".join([*lines, exported.verdict])
