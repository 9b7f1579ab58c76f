"""Visits of the LIFE cohort (real infants, low birth weight): a table without videos or chests."""
from __future__ import annotations

import csv
from pathlib import Path

from nurture_jax.records.visit import Visit


def life_visits(shared: Path) -> tuple[Visit, ...]:
    """Visits after birth up to 60 days; the week-0 weight is an input, so never a target."""
    with open(shared / "data" / "growth" / "gigs_life6mo_subset300.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    birth_g = {row["id"]: 1000 * float(row["wt_kg"]) for row in rows
               if float(row["visitweek"]) == 0}
    return tuple(
        Visit(row["id"], row["visitweek"], "", float(row["age_days"]), row["sex"],
              float(row["gestage"]), birth_g[row["id"]], weight_g=1000 * float(row["wt_kg"]),
              length_cm=float(row["len_cm"]), head_cm=float(row["headcirc_cm"]))
        for row in rows if float(row["visitweek"]) > 0 and float(row["age_days"]) <= 60)
