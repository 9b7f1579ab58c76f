"""A data set of visits, and all that is wrong with it."""
from nurture_jax.records.visits import Records, Visit, describe, is_synthetic, load, validate

__all__ = ["Records", "Visit", "describe", "is_synthetic", "load", "validate"]
