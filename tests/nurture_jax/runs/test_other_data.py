"""Lengths of reference objects of another hospital that its table does not tell."""
from pathlib import Path

import pytest

from nurture_jax.records.visit import Visit
from nurture_jax.records.visits import Records
from nurture_jax.runs.other_data import tell_lengths


def records(*lengths):
    return Records(Path("ward"), tuple(Visit(str(i), "1", f"{i}.mp4", reference_cm=length)
                                       for i, length in enumerate(lengths)))


def test_what_is_taken_is_told_in_one_line(capsys):
    tell_lengths(records(30.0, None, None), (30.0,))
    assert capsys.readouterr().out == "reference_cm is empty in 2 visits; 30 is taken\n"
    tell_lengths(records(20.0, 30.0), (20.0, 30.0))
    assert capsys.readouterr().out == ""


def test_where_training_had_several_lengths_nothing_is_taken():
    with pytest.raises(ValueError, match=r"^ward: reference_cm is empty in 1 visits, and the run "
                                         r"was trained with reference objects of 20, 30 cm; write "
                                         r"the length of each into visits\.csv$"):
        tell_lengths(records(20.0, None), (20.0, 30.0))
