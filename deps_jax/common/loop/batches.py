"""Endless shuffled batches: one iterator for every kind of data, whose state is a number.

The batch at a position depends on the seed, on how many examples there are and on the batch size,
and on nothing else. So a run continues on the same batches with other processes, threads, devices,
or on another machine: all it has to keep is how many batches it has taken.
"""
from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from typing import Any, Protocol

import grain
import numpy as np
from grain.experimental import index_shuffle

from deps_jax.common.loop import reading

# What seeds are derived for. The numbers are those of grain's own pipeline (an operation's distance
# from `.seed()`), which an earlier version of this file was.
_SHUFFLING, _CHANGING = 1, 4

Example = int | dict[str, Any]  # a number, or numbers and arrays by name


class Examples(Protocol):
    """Random access to examples: numbers, or dicts of numbers and arrays, each of one shape."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


@dataclasses.dataclass(frozen=True)
class Order:
    """Which example stands at which place of an endless run through shuffled epochs.

    An epoch is a permutation of all examples, another one each time, cut to whole batches. The few
    that are cut off (fewer than a batch) are others in every epoch.

    Permutations are those of grain's `shuffle`. Epochs are counted here, because releases of grain
    differ in what a shuffled, sliced and repeated data set is: up to 0.2.12 every epoch had the
    same order, and the examples that were cut off were never seen.

    Attributes:
      examples: Number of examples.
      batch_size: Number of examples of a batch, 1 to `examples`.
      seed: Seed of the permutations, 0 or more.
      unit: What an example is called in messages.

    Raises:
      ValueError: If the batch size or the seed is out of its range.
    """

    examples: int
    batch_size: int
    seed: int
    unit: str = "training images"

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= self.examples:
            raise ValueError(f"batch size {self.batch_size} does not fit {self.examples} "
                             f"{self.unit}; use 1 to {self.examples}")
        if self.seed < 0:
            raise ValueError(f"seed {self.seed} is negative; use 0 or more")

    @property
    def steps_per_epoch(self) -> int:
        """Number of whole batches in an epoch."""
        return self.examples // self.batch_size

    def __getitem__(self, place: int) -> int:
        """The number of the example at a place, counted from 0 over all epochs."""
        epoch, place = divmod(place, self.steps_per_epoch * self.batch_size)
        return index_shuffle(place, max_index=self.examples - 1,
                             seed=(self._seed + epoch) % 2**32, rounds=4)

    @cached_property
    def _seed(self) -> int:
        return _derived(self.seed, _SHUFFLING)

    def generator(self, place: int) -> np.random.Generator:
        """Random numbers for what is done to the example at this place, the same at every call."""
        return np.random.Generator(np.random.Philox(
            _derived(self.seed, _CHANGING), counter=[0, 0, 0, place]))


class Batches:
    """Endless shuffled batches: NumPy arrays, or dicts of them, with the batch in front.

    A few batches wait in memory: as many as there are threads; with workers as many for each of
    them, and four more on the way to this process. (grain's own default would keep 500.) An image
    of 224 x 224 px has 150 kB, a batch of 2048 of them 300 MB.

    Args:
      examples: The examples; they are pickled where there are workers.
      batch_size: Number of examples of a batch.
      seed: Seed of the order and of the changes, 0 or more.
      workers: Number of processes that read; 0 reads in this one. They want absl's flags parsed, as
        by a launcher.
      threads: Number of threads of each process that reads; 0 reads a batch when it is asked for.
      change: Called as `change(example, generator)`, it returns the example changed, such as by a
        random crop; None leaves examples as they are.
      unit: What an example is called in messages.

    Attributes:
      steps_per_epoch: Number of whole batches in an epoch.
      position: Number of batches taken; `seek(position)` goes back or forth to that place.
      places: Which examples of every batch are taken, [n] ascending; None is all. It may be set
        before the first batch.

    Raises:
      ValueError: If a batch is larger than the data or the seed is negative.
    """

    def __init__(self, examples: Examples, batch_size: int, seed: int, *, workers: int = 0,
                 threads: int = 2, change: Callable | None = None, unit: str = "training images"
                 ) -> None:
        order = Order(len(examples), batch_size, seed, unit)
        self.steps_per_epoch = order.steps_per_epoch
        self._run = _Run(examples, order, change)
        self._workers, self._threads = workers, threads
        self.position = 0
        self.places: np.ndarray | None = None
        self._reader = None  # started by the first batch that is asked for

    def __iter__(self) -> Iterator[dict]:
        return self

    def __next__(self) -> dict:
        if self._reader is None:
            self._reader = self._read()
            batch = reading.first(self._reader) if self._workers else next(self._reader)
        else:
            batch = next(self._reader)
        self.position += 1
        return batch

    def take(self, place: Callable) -> Any:
        """The next batch on the devices, to which `place(batch)` brings what comes from here."""
        return place(next(self))

    def seek(self, position: int) -> None:
        """Makes the next batch the one that an undisturbed run would take at that position.

        Raises:
          ValueError: If the position is negative.
        """
        if position < 0:
            raise ValueError(f"position {position} is negative; batches are counted from 0")
        self.close()
        self.position = position

    def close(self) -> None:
        """Ends the processes and threads that read."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _read(self) -> Iterator:
        options = grain.ReadOptions(num_threads=self._threads,
                                    prefetch_buffer_size=max(self._threads, 1))
        run = dataclasses.replace(self._run, places=self.places)
        batches = grain.MapDataset.source(run)[self.position:].to_iter_dataset(options)
        if self._workers:
            batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=self._workers),
                                          worker_init_fn=reading.outlive_signals)
        return iter(batches)


@dataclasses.dataclass(frozen=True)
class _Run:
    """The endless run, batch by batch; `places` of each, None is all."""

    examples: Examples
    order: Order
    change: Callable | None
    places: np.ndarray | None = None

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, position: int) -> np.ndarray | dict[str, np.ndarray]:
        first = position * self.order.batch_size
        places = range(self.order.batch_size) if self.places is None else self.places.tolist()
        examples = [self._example(first + i) for i in places]
        if not isinstance(examples[0], dict):
            return np.stack(examples)
        return {name: np.stack([example[name] for example in examples]) for name in examples[0]}

    def _example(self, place: int) -> Example:
        example = self.examples[self.order[place]]
        return self.change(example, self.order.generator(place)) if self.change else example


@lru_cache
def _derived(seed: int, use: int) -> int:
    """A seed that is another one for every use."""
    return int(np.random.SeedSequence([seed, use]).generate_state(1, np.uint32)[0])
