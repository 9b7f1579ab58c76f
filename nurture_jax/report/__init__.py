"""The report of an evaluation: content, page, plots, model card."""
