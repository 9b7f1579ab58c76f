"""One training for all phones: NurtureNet whose backbone is a `deps_jax` supernet."""
