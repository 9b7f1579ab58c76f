"""Metrics to disk: one JSON line for each record, and the same numbers for TensorBoard."""
from __future__ import annotations

import json
from pathlib import Path

from tensorboardX import SummaryWriter


class Writer:
    """Appends to `metrics.jsonl` and `tensorboard/` in a folder.

    Args:
      start_step: of a run that continues; what was written at later steps is dropped.
    """

    def __init__(self, folder: Path, start_step: int = 0):
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "metrics.jsonl"
        records = [record for record in read(folder) if record["step"] <= start_step]
        self._path.write_text("".join(json.dumps(record) + "\n" for record in records))
        self._file = self._path.open("a")
        self._tensorboard = SummaryWriter(str(folder / "tensorboard"),
                                          purge_step=start_step + 1 if start_step else None)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Records `values` after `step` steps."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)

    def close(self) -> None:
        self._file.close()
        self._tensorboard.close()


def read(folder: Path) -> list[dict]:
    """Records of a folder's `metrics.jsonl`; a line cut off by a crash is left out."""
    path, records = Path(folder) / "metrics.jsonl", []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records
