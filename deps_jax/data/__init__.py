"""Images in: where they come from, how they become batches, how they are augmented."""
