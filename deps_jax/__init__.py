"""Once-for-all training of CNNs by Delayed epsilon-Shrinking (arXiv 2407.06167) in JAX.

The folders are read in this order: space, supernet, training (start at `training/train.py`),
evaluation, runs, export, search; `common` and `data` lie below them.
"""
