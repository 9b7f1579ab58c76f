"""A run that may be stopped anywhere: batches, checkpoints, metrics, the loop itself."""
