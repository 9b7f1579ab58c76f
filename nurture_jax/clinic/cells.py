"""A visit and what is said of it as cells of a table, by column."""
from __future__ import annotations

from collections.abc import Mapping

from nurture_jax.clinic.assessment import Assessment
from nurture_jax.growth import birth_weight_class, weight_band
from nurture_jax.measures import LABELS, MEASURES
from nurture_jax.records.visit import Visit


def known(visit: Visit) -> dict:
    """What was known and measured without the video; empty cells for None."""
    names = ("infant_id", "visit_id", "age_days", "sex", "gestational_age_days", "birth_weight_g",
             "site", "device", "body", "reference_cm")
    return {name: getattr(visit, name) for name in names} | {
        f"{measure}_measured": getattr(visit, measure) for measure in LABELS} | {
        "weight_band_measured": weight_band(visit.weight_g) if visit.weight_g else None,
        "birth_weight_class": birth_weight_class(visit.birth_weight_g)
        if visit.birth_weight_g else None}


def estimated(found: Assessment) -> dict:
    """What is said of a visit, as cells by column."""
    return _estimated(found.plain())


def not_estimated() -> dict:
    """The columns of `estimated`, all of them empty."""
    lists = ("lacks", "advice_reasons", "advice_not_judged", "advice_notes")
    return dict.fromkeys(_estimated({
        "measures": {}, "weight_band": None, "change_from_birth_weight_percent": None,
        "advice": None, **dict.fromkeys(lists, ())}))


def _estimated(told: Mapping) -> dict:
    row = {}
    for measure in LABELS:
        plain = told["measures"].get(measure, {"standard": "none: not estimated"})
        digits = MEASURES[measure].error_digits + 1
        rounded = {"estimate": digits, "low": digits, "high": digits, "z": 3, "centile": 2}
        row |= {f"{measure}_{name.replace('estimate', 'estimated')}": _rounded(
            plain.get(name), places) for name, places in rounded.items()}
        row[f"{measure}_standard"] = plain["standard"]
    # It is of the infant, so the same for every measure that has a standard.
    why = next(filter(None, (row.get("standard_because") for row in told["measures"].values())), "")
    change = "change_from_birth_weight_percent"
    return row | {
        "standard_because": why, "weight_band_estimated": told["weight_band"],
        change: _rounded(told[change], 2), "lacks": "; ".join(told["lacks"]),
        "advice": told["advice"], "advice_reasons": "; ".join(told["advice_reasons"]),
        "advice_not_judged": "; ".join(told["advice_not_judged"]),
        "advice_notes": "; ".join(told["advice_notes"])}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
