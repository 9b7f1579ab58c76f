"""Newborn anthropometry from a phone video: weight, length, head and chest circumference."""
