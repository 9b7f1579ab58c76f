"""A table of visits in, a table of estimates out; the visits of a child together, in their order.

    TABLE     infant_id, visit_id, video, and what is known: sex, gestational_age_days,
              birth_weight_g, age_days or birth_date and visit_date, reference_cm, weight_g of a
              scale
    OUT       one row a visit: estimates with intervals, z-scores, advice, or why there is none

What was found at earlier visits of a child, by a scale or else by the estimate, is what the advice
compares a later one with.
"""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from deps_jax.common.command.mendable import is_mendable, sentence
from deps_jax.common.files import sealed
from nurture_jax.clinic.assessment import Assessment
from nurture_jax.clinic.cells import estimated, known, not_estimated
from nurture_jax.clinic.recording_gate import Gate
from nurture_jax.clinic.thresholds import Earlier
from nurture_jax.measures import RANGES, WEIGHT
from nurture_jax.records import across_rows, visit_table
from nurture_jax.records.problems import many
from nurture_jax.records.video import VideoError
from nurture_jax.records.visit import Visit
from nurture_jax.runs.predict import Prediction, Predictor

REQUIRED = ("infant_id", "visit_id", "video")
ACCEPTED, REJECTED, UNUSABLE, FAILED = "accepted", "rejected", "video not usable", "failed"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is said of one visit of a table.

    Attributes:
      visit: What is known of it.
      gate: ACCEPTED, REJECTED, UNUSABLE, or FAILED for what went wrong later than the video.
      reasons: Why there is no estimate; "" where there is one.
      prediction: What is said of the recording; None where nothing is.
    """

    visit: Visit
    gate: str
    reasons: str = ""
    prediction: Prediction | None = None

    @property
    def assessment(self) -> Assessment | None:
        """The estimate and what follows from it; None where there is none."""
        return self.prediction.assessment if self.prediction else None

    def row(self) -> dict:
        """Cells by column; the columns are the same for all visits."""
        not_done = self.prediction.gate.not_done if self.prediction else ()
        cells = known(self.visit) | {"gate": self.gate, "gate_reasons": self.reasons,
                                     "gate_not_checked": "; ".join(not_done)}
        return cells | (estimated(self.assessment) if self.assessment else not_estimated())


def read(table: Path) -> tuple[Visit, ...]:
    """The visits of a table: those of a child together, by age; unknown ages last, as they stand.

    Raises:
      ValueError: If there is any problem, with all of them.
    """
    rows, problems = visit_table.read_file(table, REQUIRED)
    problems += across_rows.same_videos(table.parent, rows, table.name)
    if problems:
        raise ValueError(f"{table} cannot be used; mend and try again:\n{many(problems)}")
    visits = [Visit(**row) for _, row in rows]
    place = {}
    for visit in visits:
        place.setdefault(visit.infant_id, len(place))
    return tuple(sorted(visits, key=lambda visit: (
        place[visit.infant_id], visit.age_days is None, visit.age_days or 0)))


def predict(predictor: Predictor, visits: tuple[Visit, ...], folder: Path,
            progress: Callable[[Sequence[Visit]], Iterable[Visit]] = iter) -> Iterator[Answer]:
    """Yields the answer of every visit, in order; a recording that fails stops nothing.

    Args:
      predictor: What estimates.
      visits: The visits as `read` sorts them.
      folder: Folder that their videos are in.
      progress: Wraps the visits, such as tqdm.

    Raises:
      ValueError: If the length of a reference object has to be told and is not.
    """
    for visit in visits:
        try:
            predictor.check_told(visit.reference_cm)
        except ValueError as error:
            raise ValueError(f"visit {visit.key}: {error}") from None
    infant, history = None, []
    for visit in progress(visits):
        if visit.infant_id != infant:
            infant, history = visit.infant_id, []
        earlier = [each for each in history
                   if visit.age_days is not None and each.age_days < visit.age_days]
        answer = _answer(predictor, visit, folder, earlier)
        yield answer
        history += _found(answer)


def write(answers: Iterable[Answer], out: Path, audit: Path | None = None) -> str:
    """Writes answers as they come, as CSV, one row a visit; no cell is a formula.

    Until all are there they stand in OUT.part, see `sealed.growing`.

    Args:
      answers: What `predict` yields.
      out: The table.
      audit: File to which the audit records are added, one JSON a line; None for none.

    Returns:
      `summary` of them.

    Raises:
      FullDisk: If the disk is full; what was written before stays.
    """
    done: list[Answer] = []
    with sealed.growing(out) as add:
        for answer in answers:
            if audit and answer.prediction:
                sealed.add(audit, json.dumps(answer.prediction.audit) + "\n")
            add(sealed.rows([answer.row()], head=not done))
            # The pictures of a long table would fill the memory.
            done.append(dataclasses.replace(answer, prediction=None))
    return summary(done)


def summary(answers: Sequence[Answer]) -> str:
    """How many visits have an estimate, and why the others have none."""
    count: Callable[[str], int] = lambda gate: sum(answer.gate == gate for answer in answers)
    infants = len({answer.visit.infant_id for answer in answers})
    failed = f", {count(FAILED)} failed" if count(FAILED) else ""
    return (f"{len(answers)} visits of {infants} infants: {count(ACCEPTED)} estimated, "
            f"{count(REJECTED)} rejected by the gate, {count(UNUSABLE)} without a usable video"
            f"{failed}")


def _answer(predictor: Predictor, visit: Visit, folder: Path, earlier: list[Earlier]) -> Answer:
    told = {name: getattr(visit, name) for name in (
        "age_days", "birth_weight_g", "sex", "gestational_age_days", "reference_cm", "infant_id",
        "visit_id")}
    try:
        found = predictor(folder / visit.video, earlier=earlier, **told)
    except VideoError as error:
        return Answer(visit, UNUSABLE, str(error))
    except Exception as error:
        # What holds of one recording must not take the others with it; a full disk holds of all.
        if not is_mendable(error) or sealed.is_full(error):
            raise
        return Answer(visit, FAILED, sentence(error))
    if found.assessment is None:
        return Answer(visit, REJECTED, _reasons(found.gate), found)
    # The visit of the table has what the predictor is not told, such as the site.
    return Answer(visit, ACCEPTED, "", dataclasses.replace(
        found, assessment=dataclasses.replace(found.assessment, visit=visit)))


def _found(answer: Answer) -> list[Earlier]:
    """The weight of a visit for later ones: of a scale, or estimated; none without an age."""
    visit, allowed = answer.visit, RANGES[WEIGHT.name]
    if visit.age_days is None:
        return []
    if visit.weight_g is not None:
        return [Earlier(visit.age_days, visit.weight_g)]
    finding = answer.assessment.findings[WEIGHT.name] if answer.assessment else None
    if finding is None or not finding.low >= allowed.low or not finding.high <= allowed.high:
        return []  # nothing to rely on, nor without an interval
    return [Earlier(visit.age_days, finding.estimate, finding.low, finding.high)]


def _reasons(gate: Gate) -> str:
    return "; ".join(map(str, gate.failures))
