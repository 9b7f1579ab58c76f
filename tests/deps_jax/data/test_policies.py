"""Policies beside what torchvision gave, see `make_torchvision`: the same, bit by bit."""
import json

import numpy as np
import pytest
from make_torchvision import FILE, NAMES, cases, picture
from PIL import Image

from deps_jax.data.policies import AUTO_CIFAR10, AUTO_IMAGENET, POLICIES, TrivialAugment, _apply


@pytest.mark.parametrize("name", POLICIES)
def test_images_keep_their_size_and_depend_on_the_generator_alone(name):
    policy, image = POLICIES[name], picture()
    drawn = [policy(image, np.random.default_rng(seed)) for seed in range(40)]
    assert {(out.shape, out.dtype.name) for out in drawn} == {((12, 16, 3), "uint8")}
    np.testing.assert_array_equal(drawn[3], policy(image, np.random.default_rng(3)))
    changed = [not np.array_equal(out, image) for out in drawn]
    assert 20 < sum(changed) < 40  # some chains do nothing
    np.testing.assert_array_equal(image, picture())


def test_operations_are_applied_by_their_probabilities():
    """A chain of invert at probability p after nothing else: how often the image is inverted."""
    image = picture()
    chains = AUTO_IMAGENET.chains
    assert len(chains) == len(AUTO_CIFAR10.chains) == 25
    assert {len(chain) for chain in chains + AUTO_CIFAR10.chains} == {2}
    policy = AUTO_IMAGENET.__class__((AUTO_CIFAR10.chains[0][:1],))  # invert 0.1
    inverted = [np.array_equal(policy(image, np.random.default_rng(seed)), 255 - image)
                for seed in range(2000)]
    assert np.mean(inverted) == pytest.approx(0.1, abs=0.03)


def test_trivial_takes_every_operation_at_every_strength():
    policy = TrivialAugment()
    assert len(policy.operations) == 14 and "invert" not in policy.operations
    thresholds = {policy.strengths.of("solarize", level, 32) for level in range(31)}
    assert min(thresholds) == 0 and max(thresholds) == 255 and len(thresholds) == 31
    assert [policy.strengths.of("posterize", level, 32) for level in (0, 30)] == [8, 2]


@pytest.mark.parametrize("policy", POLICIES)
def test_operations_are_torchvisions(policy):
    record = np.load(FILE)[policy]
    assert len(record) == len(cases(policy)) > 40
    for (name, level, sign), expected in zip(cases(policy), record, strict=True):
        found = _apply(Image.fromarray(picture()), name, level, sign, POLICIES[policy].strengths)
        np.testing.assert_array_equal(np.asarray(found), expected, err_msg=f"{name} {level} {sign}")


@pytest.mark.parametrize("policy", POLICIES)
def test_tables_are_torchvisions(policy):
    table = json.loads(str(np.load(FILE)[f"{policy}/table"]))
    if policy == "trivial":
        assert sorted(NAMES[name] for name in POLICIES[policy].operations) == table["space"]
        return
    assert [[[NAMES[step.operation], step.probability, step.level] for step in chain]
            for chain in POLICIES[policy].chains] == [
        [[name, probability, level or 0] for name, probability, level in chain]
        for chain in table["chains"]]
