"""How a stored picture is turned, mirrored and stretched to the one that a player shows.

A container's display matrix moves a stored pixel (p, q) to (a p + c q, b p + d q), as in
ISO/IEC 14496-12 (tkhd). Phones write one of the eight that keep the sides upright.
"""
from __future__ import annotations

import dataclasses
from fractions import Fraction

import av
import numpy as np

UPRIGHT_TOLERANCE = 0.02  # of 1: about 1 degree off


@dataclasses.dataclass(frozen=True)
class Orientation:
    """What a player does with a stored picture.

    Attributes:
      swapped: Whether rows become columns, which comes first.
      flipped_x, flipped_y: Whether left and right, top and bottom are exchanged, after that.
      pixel_aspect: Width of a stored pixel to its height.
    """

    swapped: bool = False
    flipped_x: bool = False
    flipped_y: bool = False
    pixel_aspect: Fraction = Fraction(1)

    @classmethod
    def of(cls, frame: av.VideoFrame, stream: av.VideoStream) -> Orientation:
        """The orientation that the file says.

        Raises:
          ValueError: If the sides of the picture are not upright.
        """
        aspect = stream.sample_aspect_ratio or Fraction(1)  # of the container before the codec's
        data = frame.side_data.get("DISPLAYMATRIX")
        # Some writers leave it empty, which nobody can mean.
        if data is None or not any(bytes(data)):
            return cls(pixel_aspect=aspect)
        (a, b), (c, d) = np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2] / 65536
        swapped = abs(b) + abs(c) > abs(a) + abs(d)
        along, across = ((c, b), (a, d)) if swapped else ((a, d), (b, c))
        largest = max(map(abs, along))
        if not largest or max(map(abs, across)) > UPRIGHT_TOLERANCE * largest:
            raise ValueError(f"display matrix {a:g}, {b:g}, {c:g}, {d:g}")
        return cls(bool(swapped), bool(along[0] < 0), bool(along[1] < 0), aspect)

    def shown_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height in square pixels of the shown picture of a stored one."""
        width = max(round(width * self.pixel_aspect), 1)
        return (height, width) if self.swapped else (width, height)

    def stored_size(self, width: int, height: int) -> tuple[int, int]:
        """The sides of a shown picture in the order of the stored one."""
        return (height, width) if self.swapped else (width, height)

    def upright(self, image: np.ndarray) -> np.ndarray:
        """A stored picture [h, w, c] as it is shown; a view."""
        image = image.swapaxes(0, 1) if self.swapped else image
        return image[::-1 if self.flipped_y else 1, ::-1 if self.flipped_x else 1]
