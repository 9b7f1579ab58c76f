"""Videos as clips: decoded once, read in batches, augmented."""
