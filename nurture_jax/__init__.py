"""Newborn weight, length, head and chest circumference from a phone video, in JAX."""
