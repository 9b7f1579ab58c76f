"""Experiments: each file is a `get_config(arg)` that returns all of its settings."""
