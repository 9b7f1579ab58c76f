"""What so many images can tell of an accuracy, and what they cannot.

An accuracy is a share of images, so its 95 % interval is Wilson's. It is about other images of the
same kind; that several networks were measured on the same images, and that the best of them was
chosen there, it does not know.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import norm

from deps_jax.common.statistics.intervals import CONFIDENCE, Number, wilson

FEW_IMAGES = 5000  # below, accuracies are shown with their intervals: +-1.4 points there at most
KNOWN_TO = 0.05  # half of the widest interval with which an accuracy is called known (our choice)
_EXAMPLE = 0.7  # an accuracy, for what a number of images can tell apart
_Z = float(norm.ppf((1 + CONFIDENCE) / 2))  # standard deviations on either side, 1.96


def interval(share: float, images: int) -> Number:
    """A share of images with its Wilson interval.

    Args:
      share: Part of the images, from 0 to 1.
    """
    return wilson(round(share * images), images)


def ends(name: str, share: float, images: int) -> dict[str, float]:
    """Both ends of the interval for tables, {NAME_low, NAME_high}."""
    number = interval(share, images)
    return {f"{name}_low": number.low, f"{name}_high": number.high}


def percent(share: float, images: int) -> str:
    """A share in %, with its interval where it is of few images: "83.33% (66.4 to 92.7)"."""
    if not 0 < images < FEW_IMAGES:
        return f"{share:.2%}"
    number = interval(share, images)
    return f"{share:.2%} ({100 * number.low:.1f} to {100 * number.high:.1f})"


def is_known(share: float, images: int) -> bool:
    """Whether images suffice to say what the accuracy is: to KNOWN_TO either way on average."""
    number = interval(share, images)
    return number.high - number.low <= 2 * KNOWN_TO


def needed(share: float) -> int:
    """Number of images that make a share known, see `is_known`.

    Where Wilson's interval is 2 KNOWN_TO wide: e^2 (n + z^2)^2 = z^2 (p (1 - p) n + z^2 / 4).
    """
    e2, z2 = KNOWN_TO ** 2, _Z ** 2
    half = z2 * (share * (1 - share) - 2 * e2) / 2
    return math.ceil((half + math.sqrt(half ** 2 + e2 * z2 ** 2 * (0.25 - e2))) / e2)


def least_for(threshold: float) -> int:
    """Number of images, all of which keep something, that show that `threshold` of all do.

    The lower end of the interval of n out of n is n / (n + z^2).
    """
    return math.ceil(threshold / (1 - threshold) * _Z ** 2)


def warning(images: int, what: str = "images") -> str:
    """What so few images cannot tell, in one sentence; "" where they are not few.

    Args:
      what: What is counted, for the sentence.
    """
    if not 0 < images < FEW_IMAGES:
        return ""
    hits = round(_EXAMPLE * images)
    number = wilson(hits, images)
    sentence = (f"{images} {what} cannot tell {number.low:.0%} from {number.high:.0%}: that is the "
                f"95 % interval of {hits} right out of {images}")
    if is_known(_EXAMPLE, images):
        return f"{sentence}."
    return f"{sentence}; for +-{100 * KNOWN_TO:.0f} points hold {needed(_EXAMPLE)} {what} out."


def about_guessing(shares: Sequence[float], images: int, classes: int) -> str:
    """A sentence where nothing is shown to be better than guessing among the classes; else "".

    Args:
      shares: Accuracies of networks on the same images.
    """
    chance = 1 / classes
    if not shares or interval(max(shares), images).low > chance:
        return ""
    return (f"No accuracy here is shown to be better than guessing, {chance:.1%} with {classes} "
            f"classes: its interval reaches down to that.")
