"""The first of many names, for a message that has to stay a sentence."""
from __future__ import annotations

from collections.abc import Sequence

MOST = 3


def few(names: Sequence[str]) -> str:
    """The names joined by commas; of more than MOST the first ones and "...".

    Args:
      names: The names, in the order in which they are told.
    """
    return ", ".join([*names[:MOST], *(["..."] if len(names) > MOST else [])])
