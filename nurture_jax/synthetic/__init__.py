"""Rendered newborns: `python -m nurture_jax.synthetic`."""
