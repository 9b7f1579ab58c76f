"""Sizes of what may lie beside the newborn, and what is printed on our card: plain numbers in mm.

The renderer draws the card from the same rectangles as the PDF. Imports nothing of this package.
"""
from __future__ import annotations

BANK_CARD_MM = (85.60, 53.98)  # ID-1 of ISO/IEC 7810: bank cards and many identity cards
STRIP_MM = (200.0, 30.0)  # our card, which fits A4 and Letter
BLOCK_MM = 50.0  # long enough to be told apart in a clip of 96 px
CHECK_MM = 100.0  # side of the square that is measured after printing

Box = tuple[float, float, float, float]  # left, bottom, width, height


def _ticks() -> list[Box]:
    """A mark a mm along the upper edge, longer each 5 and 10 mm; inside, so that it ends at 200."""
    boxes = []
    for mm in range(1, round(STRIP_MM[0])):
        high, wide = next((high, wide) for every, high, wide in (
            (10, 8.0, 0.5), (5, 6.0, 0.3), (1, 4.0, 0.2)) if mm % every == 0)
        boxes.append((mm - wide / 2, STRIP_MM[1] - high, wide, high))
    return boxes


# Black on white: every second block of 5 cm in the lower third, marks above, a bar at both ends.
STRIP: tuple[Box, ...] = (
    *((at, 0.0, BLOCK_MM, 10.0) for at in (0.0, 2 * BLOCK_MM)),
    (0.0, 0.0, 2.0, STRIP_MM[1]), (STRIP_MM[0] - 2.0, 0.0, 2.0, STRIP_MM[1]),
    *_ticks())
