"""Published search spaces, each one literal."""
from deps_jax.space.families.mobilenet_v3 import MOBILENET_V3, MOBILENET_V3_CIFAR
from deps_jax.space.families.proxyless import PROXYLESS, PROXYLESS_GOOGLE
from deps_jax.space.families.resnet50d import RESNET50D, RESNET50D_CIFAR

SPACES = {space.name: space for space in (
    MOBILENET_V3, MOBILENET_V3_CIFAR, PROXYLESS, PROXYLESS_GOOGLE, RESNET50D, RESNET50D_CIFAR)}

__all__ = ["MOBILENET_V3", "MOBILENET_V3_CIFAR", "PROXYLESS", "PROXYLESS_GOOGLE", "RESNET50D",
           "RESNET50D_CIFAR", "SPACES"]
