"""A run that another training learns from: opened, compared with that training, and remembered.

    WORKDIR/teacher.json    which network it is, so that the training continues without its folder

Its weights lie in every checkpoint, as `state.teacher`. What is learnt is in `distillation`.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from deps_jax.common.command.few import few
from deps_jax.common.command.settings import build_settings
from deps_jax.common.files import workdir
from deps_jax.common.loop.parallel import Tree
from nurture_jax.measures import LABELS
from nurture_jax.network.model import ModelSettings, NurtureNet, zero_inputs
from nurture_jax.records import splits
from nurture_jax.records.visits import Records
from nurture_jax.training import training_data
from nurture_jax.training.best import read_weights
from nurture_jax.training.model_file import describe_model, read_model

FILE = "teacher.json"
_RANK = {"train": 0, "validation": 1}  # how near a split is to the weights; the others measure
_MEASURING = 2
_MEND = "put it back from a copy, or start anew in another --workdir"


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A network that is learnt from.

    Attributes:
      folder: Folder of its run.
      model: The network.
      sha256: Hash of its weights.
      variables: Its weights and statistics; None in a run that continues, whose state has them.
    """

    folder: Path
    model: NurtureNet
    sha256: str
    variables: Tree | None = None

    @property
    def record(self) -> dict:
        """What a run keeps of it, as plain values."""
        return {"run": self.folder.name, "weights_sha256": self.sha256,
                "settings": dataclasses.asdict(self.model.settings),
                **describe_model(self.model.scaling, self.model.backbone)}

    def shapes(self, frames: int, size: int) -> Tree:
        """Shapes of its variables, for clips of so many frames of `size` pixels."""
        inputs = zero_inputs(frames, size, size)
        return {"batch_stats": {}, **jax.eval_shape(
            lambda: self.model.init(jax.random.key(0), *inputs))}

    def check_held_out(self, data_dir: Path, parts: Mapping[str, Records]) -> None:
        """Refuses a teacher that has learnt infants which its student is measured on.

        Args:
          data_dir: Folder of the student's data set; infants of another one are others, whatever
            their names.
          parts: Its splits.

        Raises:
          ValueError: If an infant made the teacher and is held out here; the first are named.
        """
        if not training_data.is_of(data_dir, self.folder):
            return
        theirs = {infant: _RANK.get(name, _MEASURING)
                  for name, infants in splits.infants(self.folder).items() for infant in infants}
        seen = [(infant, name) for name, part in parts.items() for infant in part.infants
                if theirs.get(infant, _MEASURING) < _RANK.get(name, _MEASURING)]
        if seen:
            told = few([f"{infant} ({name})" for infant, name in seen])
            raise ValueError(f"the teacher {self.folder} was made with {len(seen)} infants that "
                             f"are held out here: {told}; give it the same splits: "
                             f"data.split_seed and the data.*_fraction")


def find(student: Any, folder: Path, build: Callable[[dict], Any], *, continues: bool
         ) -> Teacher | None:
    """The teacher of a training; None where it has none.

    Args:
      student: Settings of the training, an `experiment.Experiment`.
      folder: Folder of the training.
      build: Makes the settings of a run out of its config.
      continues: Whether the training has saved a state, which then holds the teacher's weights.

    Raises:
      ValueError: If there is no such run, it has kept no weights or sees or says something else
        than its student, or its weights are others than those that the training was begun with.
    """
    if not student.teacher.run:
        return None
    run, is_begun = Path(student.teacher.run), (folder / workdir.CONFIG).is_file()
    before = workdir.read(folder, FILE) if is_begun else None
    if continues:
        return _remembered(before or {}, run, folder)
    if run.resolve() == folder.resolve():
        raise ValueError(f"teacher.run {run} is the --workdir itself; give another run's folder")
    settings = workdir.understood(run, build)
    model = NurtureNet(settings.model, *read_model(run))
    _check(run, model, settings, student)
    variables, kept = read_weights(run, model, settings.data.frames, settings.data.size)
    teacher = Teacher(run, model, kept.sha256(), variables)
    if before and before.get("weights_sha256") != teacher.sha256:
        raise ValueError(f"teacher.run {run} has other weights than when {folder} was begun; put "
                         f"them back, or use another --workdir")
    return teacher


def _remembered(content: Mapping, run: Path, folder: Path) -> Teacher:
    try:
        settings = build_settings(ModelSettings, content.get("settings", {}), "settings")
        return Teacher(run, NurtureNet(settings, *read_model(folder, name=FILE)),
                       content.get("weights_sha256", ""))
    except ValueError as error:
        raise ValueError(f"{folder / FILE} is missing, damaged or of another version of this "
                         f"program ({error}); {_MEND}") from error


def _check(run: Path, model: NurtureNet, teacher: Any, student: Any) -> None:
    """Raises ValueError for a teacher that sees, or says, something else than its student."""
    if model.scaling.labels != LABELS:
        raise ValueError(f"the teacher {run} estimates {', '.join(model.scaling.labels)}, a run of "
                         f"this version {', '.join(LABELS)}; train the teacher anew")
    for section, name in (("data", "size"), ("data", "fit"), ("model", "head_stride"),
                          ("augment", "mean"), ("augment", "std")):
        theirs, ours = (getattr(getattr(each, section), name) for each in (teacher, student))
        if theirs != ours:
            raise ValueError(f"{section}.{name} is {ours}, the teacher {run} was trained with "
                             f"{theirs}; set {section}.{name} to that, or give another teacher.run")
    for head in ("segmentation", "keypoints"):
        theirs, ours = (each.model.use_video and getattr(each.model, head)
                        for each in (teacher, student))
        if ours and not theirs:
            raise ValueError(f"model.{head} is on, and the teacher {run} has no such head; switch "
                             f"it off, or give another teacher.run")
