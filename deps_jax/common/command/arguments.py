"""Arguments of the commands that do without JAX, and so without absl's flags."""
from __future__ import annotations

import argparse
from typing import NoReturn


class OneSentence(argparse.ArgumentParser):
    """A parser that raises ValueError where argparse prints its usage and ends the process."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see --help")
