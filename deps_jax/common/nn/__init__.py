"""Plain network arithmetic, chosen by platform and at run time."""
