"""Command lines: flags in, one call, nothing else."""
