"""One video and a few numbers in; measures with intervals, class, z-scores and a plain line out.

Nothing leaves the machine, and nothing of the infant is written but what the caller asks for.
(A launcher also keeps compiled programs, in `~/.cache/deps_jax`: see `common/command/cli.py`.)
The network is that of a run, or a file: JAX is imported for a run only.
"""
from __future__ import annotations

import dataclasses
import datetime
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from deps_jax.common.command.source import git_commit, package_version
from deps_jax.common.files import checksums, sealed
from nurture_jax.clinic import plain_text, recording_gate
from nurture_jax.clinic.assessment import Assessment, assess
from nurture_jax.clinic.recording_gate import Gate
from nurture_jax.clinic.scale import told_cm
from nurture_jax.clinic.thresholds import Earlier, check_order
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.intervals import Intervals
from nurture_jax.measures import DEFAULT_REFERENCE_CM, LABELS, RANGES, SEXES
from nurture_jax.records import dates
from nurture_jax.records.video import ClipSettings, sample_clip
from nurture_jax.records.video_file import SUFFIXES, VideoError
from nurture_jax.records.visit import Visit, tabular_of
from nurture_jax.runs import calibration
from nurture_jax.runs.calibration import Calibration


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is said of one recording.

    Attributes:
      gate: What the gate found.
      assessment: The estimate and what follows from it; None where the gate has rejected the
        recording.
      audit: Model, code, time, inputs, all that the gate measured beside its limits, and the
        estimate, as plain values.
      frame: The middle frame with masks and keypoints drawn on it, [h, w, 3] uint8; None where
        nothing was to be drawn.
    """

    gate: Gate
    assessment: Assessment | None
    audit: dict
    frame: np.ndarray | None


class Network(Protocol):
    """What estimates: `inference.TrainedNurture` or `deploy.file_model.FileModel`.

    Attributes:
      folder: Where it is, for messages.
      sha256: Hash of all that makes an estimate.
      clip: How its clips are cut from videos.
      reference_cm: Lengths of the reference objects of its training, ascending.
    """

    folder: Path
    sha256: str
    clip: ClipSettings
    reference_cm: tuple[float, ...]

    def observe(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """What it says of a batch, as `inference.observe`, without padding."""


class Predictor:
    """A trained network with its intervals, compiled for one clip.

    Args:
      trained: The network.
      calibrated: Its intervals.
      draw: What makes the picture of a `Prediction`, such as `drawn.draw`; None makes none.

    Attributes:
      limits: Limits of the gate, those that the intervals were calibrated under.
      scale: What is known of lengths of reference objects.

    Raises:
      ValueError: If the intervals are of another network.
    """

    def __init__(self, trained: Network, calibrated: Calibration,
                 draw: Callable[[np.ndarray, dict], np.ndarray] | None = None) -> None:
        calibrated.check(trained.sha256, trained.folder)
        self._trained, self._factors, self._draw = trained, calibrated.intervals, draw
        self.limits, self._familiar = calibrated.limits, calibrated.familiarity
        self.scale = calibrated.scale_of(trained.reference_cm)
        clip = trained.clip
        self._model = model_sha256(trained, self._factors)
        self._commit = git_commit()  # once: it asks another program, and of the code that is loaded
        trained.observe(_batch(np.zeros((clip.frames, clip.size, clip.size, 3), np.uint8),
                               _visit("")))  # compiles

    @classmethod
    def open(cls, folder: str | Path, intervals: str | Path = "") -> Predictor:
        """The predictor of a run in `folder`.

        Args:
          folder: Folder of the run.
          intervals: File of intervals that were calibrated again for another hospital; "" takes
            those of the run.

        Raises:
          ValueError: If it is not there, or was not evaluated with the weights it has now.
        """
        from nurture_jax.runs.drawn import draw  # a file is run without JAX and OpenCV
        from nurture_jax.runs.inference import TrainedNurture

        path = Path(intervals) if intervals else Path(folder) / calibration.FILE
        return cls(TrainedNurture.open(folder), calibration.load_file(path, Path(folder)), draw)

    def __call__(self, video: Path, *, age_days: float | None = None,
                 birth_weight_g: float | None = None, sex: str = "",
                 gestational_age_days: float | None = None,
                 reference_cm: float | None = None, infant_id: str = "",
                 visit_id: str = "", earlier: Sequence[Earlier] = ()) -> Prediction:
        """Decodes, looks, and estimates unless the gate rejects.

        Args:
          video: File of the recording.
          age_days: Age since birth; this and all that follows may be left out.
          birth_weight_g: Weight at birth.
          sex: "F", "M" or "".
          gestational_age_days: Gestation at birth.
          reference_cm: Length of the reference object; it may be left out where all of the training
            were 30.
          infant_id, visit_id: Whose visit it is, for the audit.
          earlier: Earlier visits, which the advice compares with; the network is not told.

        Raises:
          ValueError: If a number is out of range, the length of the reference object has to be told
            and is not, an earlier visit is not before this one, or the video cannot be used.
        """
        self.check_told(reference_cm)
        visit = recording(video, earlier, age_days=age_days, birth_weight_g=birth_weight_g, sex=sex,
                          gestational_age_days=gestational_age_days, infant_id=infant_id,
                          visit_id=visit_id, reference_cm=reference_cm)
        cut = self._trained.clip
        clip = sample_clip(video, cut.frames, cut.size, fit=cut.fit, minimum_s=cut.minimum_s)
        found = {name: value[0] for name, value in
                 self._trained.observe(_batch(clip.images, visit)).items()}
        self._check_whole(found["mean"], video)
        gate = recording_gate.inspect(
            clip.images, clip.duration_s, found.get("shares"), found.get("keypoints"), self.limits,
            fit=cut.fit, features=found.get("features"), familiarity=self._familiar,
            scale=self.scale, visit=visit)
        estimates = Estimates((visit,), found["mean"][None], found["scale"][None])
        assessment = assess(estimates, self._factors, [earlier])[0] if gate.accepted else None
        audit = {
            "model_sha256": self._model, "version": package_version(), "git_commit": self._commit,
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            # Its name may be that of a child.
            "video": {"suffix": _suffix(video), "sha256": checksums.of_file(Path(video)),
                      "duration_s": clip.duration_s, "width": clip.width, "height": clip.height},
            "visit": {"infant_id": infant_id, "visit_id": visit_id},
            "inputs": {name: getattr(visit, name) for name in
                       ("age_days", "sex", "birth_weight_g", "gestational_age_days")}
            | {"reference_cm": told_cm(visit)}
            | {"earlier": [dataclasses.asdict(each) for each in earlier]},
            "gate": {"accepted": gate.accepted, "measured": dict(gate.measured),
                     "limits": dataclasses.asdict(self.limits),
                     "limit_unfamiliarity": gate.limit_unfamiliarity,
                     "reference_lengths_cm": list(self.scale.lengths_cm),
                     "limit_reference_factor": math.exp(self.scale.limit),
                     "not_done": list(gate.not_done),
                     "failures": [dataclasses.asdict(failure) for failure in gate.failures]},
            "estimate": assessment.plain() if assessment else None}
        picture = self._draw(clip.images, found) if self._draw else None
        return Prediction(gate, assessment, audit, picture)

    def check_told(self, reference_cm: float | None) -> None:
        """Raises ValueError for a length that is not told where training had others than 30 cm."""
        lengths = self.scale.lengths_cm
        if reference_cm is None and lengths != (DEFAULT_REFERENCE_CM,):
            raise ValueError(
                f"reference_cm is not told, and the run was trained with reference objects of "
                f"{', '.join(f'{length:g}' for length in lengths)} cm; measure the one in the "
                f"video and give its length")


    def _check_whole(self, mean: np.ndarray, video: str | Path) -> None:
        """Raises ValueError for a measure with an interval that is no number; `mean` is [5].

        Nothing else would tell it from a measure that the network has not learnt.
        """
        lost = [name for name, value in zip(LABELS, mean, strict=True) if not np.isfinite(value)
                and any(name in by_measure for by_measure in self._factors.factors.values())]
        if lost:
            raise ValueError(f"{', '.join(lost)} of {Path(video).name} came out as no number; the "
                             f"network in {self._trained.folder} is damaged, use a copy of it")


def told(known: Mapping[str, float | str | None]) -> dict[str, float | str | None]:
    """What a command line tells of an infant, as `Predictor` takes it: of dates only the age.

    Args:
      known: What `Predictor` takes, and "birth_date" and "visit_date", "" where they are not told.

    Raises:
      ValueError: As `dates.told_age`.
    """
    rest = dict(known)
    age = dates.told_age(*(rest.pop(name) for name in dates.COLUMNS), rest["age_days"])
    return {**rest, "age_days": age}


def keep(prediction: Prediction, audit: Path | None, picture: Path | None = None) -> None:
    """Adds the audit record to a file, one JSON a line, and writes the picture.

    Args:
      prediction: What is said of the recording.
      audit, picture: The files; None keeps nothing.
    """
    if audit:
        sealed.add(audit, json.dumps(prediction.audit) + "\n")
    if picture:
        from nurture_jax.runs.drawn import encoded  # a file is run without OpenCV

        sealed.replace(picture, encoded(prediction.frame, picture.suffix))


def recording(video: str | Path, earlier: Sequence[Earlier] = (), **known: float | str | None
              ) -> Visit:
    """What is asked about, before anything is opened; `earlier` and `known` as for `Predictor`.

    Raises:
      ValueError: If a number is out of range, an earlier visit is not before this one, or the video
        does not exist.
    """
    visit = _visit(str(video), **known)
    check(visit)
    check_order(visit, earlier)
    if not Path(video).is_file():
        raise VideoError("missing", f"{video} does not exist; give the path of a video")
    return visit


def check(visit: Visit) -> None:
    """Raises ValueError naming the first number that is out of range, or in another unit."""
    for name, allowed in RANGES.items():
        value = getattr(visit, name)
        if value is not None and (problem := allowed.sentence(value)):
            raise ValueError(f"{name} {value:g} {problem}")
    if visit.sex not in (*SEXES, ""):
        raise ValueError(f"sex {visit.sex!r} is unknown; use F or M, or leave it out")


def text(prediction: Prediction) -> str:
    """Text for the terminal: a line for each measure, then the advice, or why there is none."""
    if prediction.assessment is None:
        reasons = (f"  {failure}" for failure in prediction.gate.failures)
        return "\n".join(["no estimate:", *reasons])
    return "\n".join(plain_text.lines(prediction.assessment, prediction.gate.not_done))


def _suffix(video: str | Path) -> str:
    """What kind of file it is; "" where that is no usual one, which may be a part of a name."""
    suffix = Path(video).suffix.lower()
    return suffix if suffix in SUFFIXES else ""


def _visit(video: str, **known: float | str | None) -> Visit:
    return Visit(video=video, **{"infant_id": "", "visit_id": "", **known})


def _batch(frames: np.ndarray, visit: Visit) -> dict[str, np.ndarray]:
    """A batch of one clip, as of `clip_batches`."""
    row = {"frames": frames, **tabular_of(visit), "example_mask": np.float32(1)}
    return {name: np.asarray(value)[None] for name, value in row.items()}


def model_sha256(trained: Network, factors: Intervals) -> str:
    """Hash of all that makes the estimate and its interval: that of the network, and the factors.

    Paths are not in it, nor is the gate, whose limits the audit tells.
    """
    return sealed.digest([trained.sha256, dataclasses.asdict(factors)])
