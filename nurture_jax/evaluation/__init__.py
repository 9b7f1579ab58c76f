"""Estimates, baselines, errors and their uncertainty."""
