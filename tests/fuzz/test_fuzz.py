"""Every parser on damaged input: a few cases in `make test`, minutes of them in `make fuzz`.

    make fuzz MINUTES=10 TARGETS="coco or mp4"

A finding prints its seed; FUZZ_SEED runs that one alone.
"""
import os
import random

import fuzz_deps
import fuzz_newborn
import pytest
from harness import attempt, for_minutes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TARGETS = fuzz_deps.TARGETS | fuzz_newborn.TARGETS
MINUTES, SEED = float(os.environ.get("FUZZ_MINUTES", 0)), os.environ.get("FUZZ_SEED")
FIRST_SEED = int(os.environ.get("FUZZ_FIRST_SEED", 0))


@pytest.mark.parametrize("target", TARGETS)
def test_parser(target, tmp_path, capsys):
    prepare, cases = TARGETS[target]
    case = prepare(tmp_path)
    if SEED:
        attempt(case, random.Random(int(SEED)))
    elif MINUTES:
        with capsys.disabled():
            count, found = for_minutes(case, MINUTES, FIRST_SEED)
            print(f"{target}: {count} cases in {MINUTES:g} minutes, {len(found)} findings",
                  flush=True)
        assert not found, "\n\n".join(f"seed {seed}\n{text}" for seed, text in found.values())
    else:
        _short(case, cases)


def _short(case, cases):
    @settings(max_examples=cases, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))
    @given(st.randoms(use_true_random=True))
    def holds(draw):
        attempt(case, draw)

    holds()
