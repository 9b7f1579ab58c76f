"""Published search spaces, each one literal."""
from deps_jax.space.families.mobilenet_v3 import MOBILENET_V3, MOBILENET_V3_CIFAR

SPACES = {space.name: space for space in (MOBILENET_V3, MOBILENET_V3_CIFAR)}

__all__ = ["MOBILENET_V3", "MOBILENET_V3_CIFAR", "SPACES"]
