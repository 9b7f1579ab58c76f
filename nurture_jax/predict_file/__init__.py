"""Estimates from an exported file: `python -m nurture_jax.predict_file`."""
