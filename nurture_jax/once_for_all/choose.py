"""The best of the networks that a limit allows, measured on validation clips."""
from __future__ import annotations

from collections.abc import Iterator

import jax

from deps_jax.space import cost
from deps_jax.space.layers import layers
from deps_jax.space.subnet import Subnet, sample
from deps_jax.space.subnet_text import decode, encode
from nurture_jax.network.backbones import without_classifier
from nurture_jax.once_for_all.subnets import Measured, TrainedOnce

JUDGED_BY = "mae_weight_g"
MOST_DRAWS = 2000  # until so many were over the limit in vain
NEAR = 0.6  # part of the limit from which a drawn network is worth measuring; ours


def best_within(trained: TrainedOnce, most_macs: float, candidates: int, seed: int = 0) -> Measured:
    """The network of the smallest error of the weight among some whose backbone costs no more.

    Uniform networks within the limit are measured, and then drawn ones that come near it.

    Args:
      most_macs: Most multiply-adds of the backbone for a frame.
      candidates: Number of networks that are measured.

    Raises:
      ValueError: If no network is within; the message tells the cheapest.
    """
    space = trained.network.space
    within, least = [], None
    for name in trained.names:
        macs = backbone_macs(trained, decode(space, name))
        least = (macs, name) if least is None or macs < least[0] else least
        if macs <= most_macs:
            within.append(name)
    if not within:
        raise ValueError(f"no network costs {most_macs / 1e6:g} million multiply-adds a frame or "
                         f"less; the cheapest, {least[1]}, costs {least[0] / 1e6:.2f}")
    for name in _drawn(trained, most_macs, seed):
        if len(within) >= candidates:
            break
        if name not in within:
            within.append(name)
    measured = []
    for name in within[:candidates]:
        measured.append(trained.measure(name))
        print(f"{name}: {measured[-1].macs / 1e6:.2f} million multiply-adds, "
              f"{measured[-1].errors[JUDGED_BY]:.0f} g", flush=True)
    return min(measured, key=lambda one: one.errors[JUDGED_BY])


def backbone_macs(trained: TrainedOnce, subnet: Subnet) -> int:
    """Multiply-adds of a subnet's backbone for a frame."""
    return cost.macs(without_classifier(layers(trained.network.space, subnet)))


def _drawn(trained: TrainedOnce, most_macs: float, seed: int) -> Iterator[str]:
    """Names of drawn subnets that come near the limit from below."""
    space = trained.network.space
    for key in jax.random.split(jax.random.key(seed), MOST_DRAWS):
        subnet = jax.device_get(sample(key, space))
        if NEAR * most_macs <= backbone_macs(trained, subnet) <= most_macs:
            yield encode(space, subnet)
