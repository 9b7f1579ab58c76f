"""Newborn anthropometry from a phone video: weight, length, head, chest and arm.

The folders are read in this order: records, clips, network, training (start at
`training/train.py`), growth, evaluation, clinic, report, runs, deploy;
`synthetic` renders newborns.
"""
