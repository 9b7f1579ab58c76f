"""Calibrated intervals of a run, with the model and the gate they are true of.

    WORKDIR/intervals.json

An interval is calibrated on what one model said of the visits that one gate let through. After
another training, or under other limits, it would promise what nobody has looked at, so it is
refused for another model, and a prediction uses its limits.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from deps_jax.common.command.settings import build_settings
from deps_jax.common.files import sealed
from nurture_jax.clinic.checks import Limits
from nurture_jax.clinic.familiarity import Familiarity, Usual
from nurture_jax.clinic.scale import Scale
from nurture_jax.evaluation.intervals import Intervals

FILE = "intervals.json"
NOT_COMPARED = "not compared"


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What an evaluation leaves for predictions.

    Attributes:
      intervals: The calibrated factors.
      model_sha256: Hash of the model whose estimates were calibrated, see `TrainedNurture.sha256`.
      limits: Limits of the gate that chose the visits.
      familiarity: What the recordings of training look like, with the limit that the gate has of
        it; None for a model without features, or of too few recordings.
      scale: How long the reference objects of training are and look, with the limit that the gate
        has of it; None in a file of a version that did not look.
    """

    intervals: Intervals
    model_sha256: str
    limits: Limits
    familiarity: Familiarity | None = None
    scale: Scale | None = None

    @property
    def calibrated_limits(self) -> dict[str, str]:
        """Limits of the gate that no config holds, in words by name."""
        familiar, scale = self.familiarity, self.scale
        return {"limit of unfamiliarity": f"{familiar.limit:.3g}" if familiar else NOT_COMPARED,
                "limit of the told length": f"a factor of {math.exp(scale.limit):.3g}"
                if scale and scale.weights else NOT_COMPARED}

    def scale_of(self, lengths_cm: Sequence[float]) -> Scale:
        """`scale`, or one that compares nothing but knows these lengths of the training."""
        return self.scale or Scale(tuple(lengths_cm))

    def check(self, model_sha256: str, folder: Path) -> None:
        """Raises ValueError unless the intervals are of this model, the one in `folder`."""
        if self.model_sha256 != model_sha256:
            raise ValueError(
                f"{Path(folder) / FILE} was calibrated for other weights than those in {folder} "
                f"(SHA-256 {self.model_sha256:.12}..., now {model_sha256:.12}...); "
                f"{_evaluate(folder)}")


def save(calibration: Calibration, folder: Path) -> None:
    """Writes `intervals.json` beside the run's other results."""
    sealed.write(Path(folder) / FILE, dataclasses.asdict(calibration))


def load(folder: Path) -> Calibration:
    """What `save` wrote.

    Raises:
      ValueError: If there is no such file, or it is damaged, of another kind, or of an older
        version, which did not say what the intervals belong to.
    """
    path = Path(folder) / FILE
    return load_file(path, Path(folder))


def load_file(path: Path, folder: Path) -> Calibration:
    """Intervals of the run in `folder` out of any file, such as that of another hospital.

    Raises:
      ValueError: As `load`.
    """
    return of_content(sealed.read(path, _evaluate(folder)), path, _evaluate(folder))


def of_content(content: dict, path: Path, mend: str) -> Calibration:
    """The calibration out of the plain values that were written of it.

    Args:
      content: The values.
      path: The file that they are of, for messages.
      mend: What to do about one that cannot be used, in the imperative.

    Raises:
      ValueError: If they are of an older version.
    """
    needed = {field.name for field in dataclasses.fields(Calibration)} - {"scale"}
    if missing := needed - content.keys():
        raise ValueError(f"{path} does not say which {', '.join(sorted(missing))} it belongs to; "
                         f"{mend}")
    names = lambda kind: {field.name for field in dataclasses.fields(kind)}
    familiar = content["familiarity"]
    if content["intervals"].keys() != names(Intervals) or (
            familiar is not None and familiar.keys() != names(Familiarity)):
        raise ValueError(f"{path} is of another version of this program; {mend}")
    return Calibration(build_settings(Intervals, content["intervals"], f"{path}: intervals"),
                       content["model_sha256"],
                       build_settings(Limits, content["limits"], f"{path}: limits"),
                       _familiarity(content["familiarity"], path),
                       _scale(content.get("scale"), path))


def _scale(content: dict | None, path: Path) -> Scale | None:
    if content is None:
        return None
    expected = tuple(tuple(row) for row in content["expected"])
    return build_settings(Scale, {**content, "expected": expected}, f"{path}: scale")


def _familiarity(content: dict | None, path: Path) -> Familiarity | None:
    if content is None:
        return None
    groups = {name: build_settings(
        Usual, {**usual, "directions": tuple(map(tuple, usual["directions"]))},
        f"{path}: familiarity.{name}") for name, usual in content["groups"].items()}
    return build_settings(Familiarity, {**content, "groups": groups}, f"{path}: familiarity")


def _evaluate(folder: Path) -> str:
    """What to do about intervals that cannot be used."""
    return f"evaluate the run again (launch.evaluate_nurture --workdir {folder})"
