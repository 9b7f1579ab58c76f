"""Reference objects beside the newborn: rulers, a bank card, the printed card; sizes and prints.

A print is an ink map, blurred on the host to the size of a pixel and looked up by the renderer.
"""
from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from nurture_jax.reference_objects import BANK_CARD_MM, STRIP, STRIP_MM

INK_SHAPE = (64, 1200)  # of the print, across and along: 0.025 cm a column of 30 cm
# Of a ruler: every so many mm, share of its width, thickness in cm.
MARKS = ((100, 1.0, 0.16), (50, 0.54, 0.11), (10, 0.36, 0.06), (5, 0.24, 0.03), (1, 0.16, 0.025))
PER_CM = 43  # pixels of the canvas, in both directions on a ruler of middle width
PAPER = ((250, 250, 248), (16, 16, 16))
PLASTIC = (((38, 62, 120), (214, 190, 120)), ((30, 30, 34), (200, 200, 204)),
           ((176, 40, 52), (250, 240, 230)), ((214, 214, 218), (70, 70, 76)),
           ((30, 120, 92), (240, 230, 180)))


@dataclasses.dataclass(frozen=True)
class Ruler:
    """A reference object of the renderer.

    Attributes:
      length_cm: Between its ends, which are the middles of its short sides.
      half_width_cm: Least and largest half width.
      thickness_cm: How high its print lies above the cloth.
      print: "ruler", "bank_card" or "strip".
    """

    length_cm: float
    half_width_cm: tuple[float, float]
    thickness_cm: float
    print: str = "ruler"


# Half widths and thicknesses are those of rulers in shops; a bank card is ID-1 of ISO/IEC 7810.
RULERS = {
    "30": Ruler(30.0, (1.2, 2.0), 0.2),
    "15": Ruler(15.0, (1.1, 1.6), 0.15),
    "20": Ruler(20.0, (1.1, 1.8), 0.18),
    "60": Ruler(60.0, (1.6, 2.5), 0.3),
    "bank_card": Ruler(BANK_CARD_MM[0] / 10, (BANK_CARD_MM[1] / 20,) * 2, 0.076, "bank_card"),
    "strip": Ruler(STRIP_MM[0] / 10, (STRIP_MM[1] / 20,) * 2, 0.03, "strip"),
}
MIXED = "mixed"
# Mostly the usual one; of the others enough that looks and lengths are learnt together. Ours.
SHARES = {"30": 0.5, "15": 0.1, "20": 0.1, "60": 0.1, "bank_card": 0.1, "strip": 0.1}


def names(text: str) -> tuple[str, ...]:
    """The names in a list such as "15,30", or all of RULERS for MIXED.

    Raises:
      ValueError: If one is unknown.
    """
    chosen = tuple(RULERS) if text == MIXED else tuple(
        name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in chosen if name not in RULERS]
    if unknown or not chosen:
        raise ValueError(f"rulers {text!r} are not of {', '.join(RULERS)}; give some of them with "
                         f"commas, or {MIXED}")
    return chosen


def draw(rng: np.random.Generator, text: str) -> Ruler:
    """One of the reference objects in `text`, see `names`; by SHARES."""
    chosen = names(text)
    shares = np.array([SHARES[name] for name in chosen])
    return RULERS[chosen[rng.choice(len(chosen), p=shares / shares.sum())]]


def colours(rng: np.random.Generator, ruler: Ruler, usual: tuple) -> tuple:
    """Colours of body and ink, sRGB; `usual` are those drawn for a ruler with marks."""
    if ruler.print == "strip":
        return PAPER
    return PLASTIC[rng.integers(len(PLASTIC))] if ruler.print == "bank_card" else usual


def draw_ink(rng: np.random.Generator, pixel_cm: float, ruler: Ruler = RULERS["30"]) -> np.ndarray:
    """The print of a reference object, blurred to the size of a pixel: [rows, columns] 0..1.

    The generator gives as many numbers whatever the object is.
    """
    both, bold = rng.random() < 0.5, rng.uniform(0.8, 1.3)
    if ruler.print == "strip":
        ink = _strip()
    elif ruler.print == "bank_card":
        ink = _bank_card(both)
    else:
        ink = _marks(round(ruler.length_cm), both, bold)
    spread = max(0.4, 0.42 * pixel_cm * PER_CM)
    soft = cv2.GaussianBlur(ink.astype(np.float32) / 255, (0, 0), spread)
    return cv2.resize(soft, INK_SHAPE[::-1], interpolation=cv2.INTER_AREA)


def _marks(length_cm: int, both: bool, bold: float) -> np.ndarray:
    """MARKS along one or both edges, those of 10 cm right across, and numbers."""
    rows = INK_SHAPE[0]
    ink = np.zeros((2 * rows, length_cm * PER_CM), np.uint8)
    for mm in range(10 * length_cm + 1):
        share, thick_cm = next(mark for every_mm, *mark in MARKS if mm % every_mm == 0)
        reach = round((0.7 if both else 1.0) * share * len(ink)) if share < 1 else len(ink)
        half = bold * thick_cm * PER_CM / 2
        columns_of = slice(max(round(mm * PER_CM / 10 - half), 0), round(mm * PER_CM / 10 + half))
        ink[:reach, columns_of] = 255
        ink[len(ink) - reach:, columns_of] |= np.uint8(255 * both)
    base = int(len(ink) * (0.60 if both else 0.88))
    for cm in range(1, length_cm):
        size, line = (1.0, 4) if cm % 5 == 0 else (0.75, 2)
        (across, up), _ = cv2.getTextSize(str(cm), cv2.FONT_HERSHEY_SIMPLEX, size, line)
        left = int(cm * PER_CM - across / 2)
        if cm % 10 == 0:  # no mark runs through a number
            ink[base - up - 5:base + 6, left:left + across] = 0
        cv2.putText(ink, str(cm), (left, base), cv2.FONT_HERSHEY_SIMPLEX, size, 255, line,
                    cv2.LINE_AA)
    return ink


def _bank_card(stripe: bool) -> np.ndarray:
    """A chip, two lines of print and, on some, a stripe; no marks."""
    shape = [round(side / 10 * PER_CM) for side in BANK_CARD_MM[::-1]]
    ink = np.zeros(shape, np.uint8)
    boxes = [(0.11, 0.25, 0.33, 0.52), (0.12, 0.86, 0.60, 0.68), (0.12, 0.48, 0.79, 0.84)]
    for left, right, top, bottom in boxes + [(0.0, 1.0, 0.08, 0.22)] * stripe:
        rows, columns = np.multiply([top, bottom], shape[0]), np.multiply([left, right], shape[1])
        ink[slice(*rows.astype(int)), slice(*columns.astype(int))] = 255
    return ink


def _strip() -> np.ndarray:
    """The card of `launch.reference_card`, without its numbers."""
    length, width = STRIP_MM
    ink = np.zeros((round(width / 10 * PER_CM), round(length / 10 * PER_CM)), np.uint8)
    for left, bottom, wide, high in STRIP:
        columns = np.round(np.array([left, left + wide]) / 10 * PER_CM).astype(int)
        rows = np.round((width - np.array([bottom + high, bottom])) / 10 * PER_CM).astype(int)
        ink[slice(*rows), slice(*columns)] = 255
    return ink
