"""Train, validation, calibration and test: no newborn is in two of them, nor are siblings."""
from __future__ import annotations

import collections
import hashlib
import itertools
import math
from collections.abc import Mapping
from pathlib import Path

from deps_jax.common.command.few import few
from deps_jax.common.files import workdir
from nurture_jax.records.visit import families
from nurture_jax.records.visits import Records

FILE = "splits.json"
FRACTIONS = {"train": 0.7, "validation": 0.15, "test": 0.15}


def split(records: Records, seed: int, fractions: Mapping[str, float] = FRACTIONS
          ) -> dict[str, Records]:
    """Records by split. The same infants and seed give the same splits, in any order of visits.

    Infants without a usable video are in one, too: their visits are counted, and a video that is
    mended later moves nobody. Infants of one mother go where the first of their ids goes, so a
    split may have some more or fewer than its part.

    Args:
      seed: Seed that says which infants.
      fractions: Parts of the infants, by the name of the split.

    Raises:
      ValueError: If fractions do not add up, or there are too few infants to fill the splits.
    """
    if any(not 0 < part <= 1 for part in fractions.values()) \
            or not math.isclose(sum(fractions.values()), 1):
        raise ValueError(f"fractions {dict(fractions)} are not above 0 or do not add up to 1; "
                         f"give parts such as {FRACTIONS}")
    count, ends, before = len(records.infants), {}, 0
    for name, total in zip(fractions, itertools.accumulate(fractions.values()), strict=True):
        ends[name] = round(total * count)
    placed = {name: [] for name in fractions}
    for family in sorted(_siblings(records), key=lambda each: (_place(seed, each[0]), each[0])):
        placed[next(name for name, end in ends.items() if before < end)] += family
        before += len(family)
    if not all(placed.values()):
        raise ValueError(f"{count} infants do not fill the splits {dict(fractions)}; record "
                         f"more infants or ask for fewer splits")
    return {name: records.of_infants(part) for name, part in placed.items()}


def content(splits: Mapping[str, Records]) -> dict[str, list[str]]:
    """What is kept in `splits.json` in the folder of a run: the infants of every split."""
    placed = {name: records.infants for name, records in splits.items()}
    _check(placed)
    return placed


def read(records: Records, folder: str | Path) -> dict[str, Records]:
    """The splits that a run has written, of these records.

    Raises:
      ValueError: If an infant is in two splits, or children of one mother are, one with a usable
        video is in none, or one is no longer in the records; or as `workdir.read`.
    """
    path, kept = Path(folder) / FILE, infants(folder)
    placed = {infant for part in kept.values() for infant in part}
    usable = {visit.infant_id for visit in records.visits}
    for wrong, what in ((usable - placed, "are in no split of"),
                        (placed - set(records.infants), "are gone from the records but in")):
        if wrong:
            raise ValueError(f"infants {_some(wrong)} {what} {path}; use the records of that run "
                             f"or start a new one")
    of = {infant: name for name, part in kept.items() for infant in part}
    for family in _siblings(records):
        if len(where := {of[infant] for infant in family if infant in of}) > 1:
            raise ValueError(f"infants {_some(set(family))} have one mother_id and are in splits "
                             f"{' and '.join(sorted(where))} of {path}; start a new run, so that "
                             f"siblings are in one")
    return {name: records.of_infants(part) for name, part in kept.items()}


def infants(folder: str | Path) -> dict[str, list[str]]:
    """The infants of every split that a run has written.

    Raises:
      ValueError: If they are not there or an infant is in two splits; or as `workdir.read`.
    """
    path = Path(folder) / FILE
    kept = workdir.read(folder, FILE)
    if kept is None:
        raise ValueError(f"{path} does not exist; start the run anew")
    try:
        kept = {name: [str(infant) for infant in part] for name, part in kept.items()}
    except TypeError as error:
        raise ValueError(f"{path} cannot be read ({error}); start the run anew") from error
    _check(kept)
    return kept


def _check(content: Mapping[str, list[str]]) -> None:
    first = {}
    for name, infants in content.items():
        for infant in infants:
            other = first.setdefault(infant, name)
            if other != name:
                raise ValueError(f"infant {infant!r} is in splits {other!r} and {name!r}; keep "
                                 f"every infant in one")


def _siblings(records: Records) -> list[list[str]]:
    """Infants by mother, ids ascending; one whose mother is not known is alone."""
    seen, found = (*records.visits, *records.left_out), collections.defaultdict(set)
    for each, family in zip(seen, families(seen), strict=True):
        found[family].add(each.infant_id)
    return [sorted(infants) for infants in found.values()]


def _place(seed: int, infant: str) -> bytes:
    """A random rank that does not depend on the other infants."""
    return hashlib.blake2b(f"{seed}/{infant}".encode(), digest_size=8).digest()


def _some(infants: set[str]) -> str:
    return few(list(map(repr, sorted(infants))))
