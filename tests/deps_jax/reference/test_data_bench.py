"""The made photographs are of the size that is told, and the whole path gives them."""
import math
import subprocess
import sys
import time

import numpy as np
import pytest

from deps_jax.common.compiled.machine import busy_s
from deps_jax.reference.data_bench import (
    HEIGHT,
    WIDTH,
    Found,
    Rate,
    decode,
    measure,
    photographs,
    rates,
)


def test_photographs_are_like_those_of_imagenet():
    files = photographs(4).files
    assert files == photographs(4).files and len(set(files)) == 4
    assert decode(files[0]).shape == (HEIGHT, WIDTH, 3)
    assert 80e3 < np.mean([len(file) for file in files]) < 140e3


@pytest.mark.parametrize("policy", ["auto_imagenet", ""])
def test_every_part_of_the_path_is_measured(policy):
    found = measure(resolution=32, batch_size=4, seconds=0.2, policy=policy)
    assert list(found.parts) == ["decoding", "random crop", *filter(None, [policy])]
    for rate in (*found.parts.values(), found.whole):
        assert rate.by_clock > 0 and rate.by_core > 0
    with pytest.raises(ValueError, match="policy 'auto' is unknown; use one of"):
        measure(policy="auto")


def test_what_other_programs_take_is_not_counted():
    """A core that works for somebody else half of the time is still as fast."""
    def work(_):
        end = time.process_time() + 0.01
        while time.process_time() < end:
            pass
        time.sleep(0.02)

    found = rates({"work": work}, 0.5)["work"]
    assert found.by_core == pytest.approx(100, rel=0.15) and found.by_clock < 40


HALF = {"decoding": Rate(50.0, 100.0), "random crop": Rate(150.0, 300.0),
        "auto_imagenet": Rate(75.0, 150.0)}


def test_cores_add_up():
    found = Found(HALF, Rate(90.0, 60.0), 98.0, 0.01, 2, 0)
    assert found.images_per_core == pytest.approx(50)  # 10 + 3.33 + 6.67 ms
    assert found.cores_for(760) == 16
    slower = Found(HALF, Rate(90.0, 40.0), 98.0, 0.01, 2, 0)
    assert slower.images_per_core == 40
    uncounted = Found(HALF, Rate(90.0, math.nan), 98.0, 0.01, 2, 2)
    assert uncounted.images_per_core == found.images_per_core


def test_it_says_when_the_machine_was_not_quiet():
    whole = {name: Rate(rate.by_core, rate.by_core) for name, rate in HALF.items()}
    assert "the machine was quiet" in str(Found(whole, Rate(90.0, 60.0), 98.0, 0.01, 2, 0))
    assert "the machine was quiet" in str(Found(whole, Rate(90.0, 60.0), 98.0, math.nan, 2, 0))
    for parts, others, share in ((HALF, 0.01, "50%"), (whole, 0.5, "100%")):
        said = str(Found(parts, Rate(90.0, 60.0), 98.0, others, 2, 0))
        assert f"NOT QUIET: a core worked for this process {share} of the time" in said
        assert f"others used {others:.0%} of a core" in said


@pytest.mark.skipif(math.isnan(busy_s()), reason="the system does not tell (not Linux)")
def test_what_others_use_is_seen():
    """Another process works for half a second; it is not this one's time."""
    before, own = busy_s(), time.process_time()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"],
                   check=True)
    assert busy_s() - before - (time.process_time() - own) > 0.4
