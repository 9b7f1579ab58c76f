"""Accuracies of networks of a run, measured once and remembered in its folder."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deps_jax.common.files import sealed
from deps_jax.runs.trained import TrainedRun
from deps_jax.space.candidate import parse_candidate

FILE = "measurements.jsonl"  # in the folder of the run, shared by all searches


class MeasuredAccuracy:
    """Top-1 of networks on some of the validation images, recalibrated.

    Args:
      images: Number of validation images; 0 takes all.

    Attributes:
      images: Number of validation images that networks are measured on.
    """

    def __init__(self, run: TrainedRun, images: int = 0) -> None:
        self._run, self._held_out, self._meters = run, run.held_out("validation", images), {}
        self.images = len(self._held_out)
        self._known = Measurements(run.folder / FILE,
                                   {**run.details, "images": self.images})

    def __call__(self, names: Sequence[str], what: str = "measuring") -> np.ndarray:
        """Top-1 of n networks, [n] float64; those that are not known yet are measured.

        Args:
          names: Names of the networks, as `candidate_name` writes them.
          what: What the progress bar says.
        """
        progress = lambda missing: tqdm(missing, desc=what, unit="subnet", leave=False,
                                        disable=not missing)
        return self._known(names, self._measure, progress)

    def _measure(self, name: str) -> float:
        subnet, resolution = parse_candidate(self._run.space, name)
        if resolution not in self._meters:  # compiles
            self._meters[resolution] = self._run.meter(self._held_out, resolution=resolution)
        return self._meters[resolution](self._run.params, subnet)[0].top1


class Measurements:
    """Measured subnets in a JSON-lines file: what is there is not measured again.

    Args:
      path: Path of the file, which is made when the first subnet is measured.
      settings: Settings of the measurement, kept with every line; lines of other settings do not
        count, nor damaged ones.

    Attributes:
      top1: Top-1 of the subnets that are known, by name.
    """

    def __init__(self, path: Path, settings: dict) -> None:
        self.path, self.settings, self.top1 = path, json.loads(json.dumps(settings)), {}
        for record in sealed.read_lines(path):
            if record.get("settings") == self.settings:
                self.top1[record["subnet"]] = record["top1"]

    def __call__(self, names: Sequence[str], measure: Callable[[str], float],
                 progress: Callable[[list[str]], Iterable[str]] = iter) -> np.ndarray:
        """Top-1 of n subnets, [n] float64; those that are not known yet are measured.

        Args:
          measure: A function from the name of a subnet to its top-1.
          progress: Wraps the names that are measured, such as tqdm.
        """
        missing = [name for name in dict.fromkeys(names) if name not in self.top1]
        for name in progress(missing):
            self.top1[name] = float(measure(name))
            record = {"subnet": name, "top1": self.top1[name], "settings": self.settings}
            sealed.append(self.path, record)
        return np.array([self.top1[name] for name in names])
