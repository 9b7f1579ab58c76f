"""What may exist: search spaces and blocks, subnets of them, their layers and costs."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "rows": ["Activation", "Conv", "Gate", "MaxPool", "Shortcut", "Width"],
    "block": ["BOTTLENECK", "BlockForm", "INVERTED_RESIDUAL"],
    "search_space": ["SearchSpace", "Stage"],
    "families": ["MOBILENET_V3", "MOBILENET_V3_CIFAR", "PROXYLESS", "PROXYLESS_GOOGLE",
                 "RESNET50D", "RESNET50D_CIFAR", "SPACES"],
    "subnet": ["Subnet", "largest", "smallest", "uniform", "sample", "stack"],
    "subnet_text": ["encode", "decode", "reported_subnets"],
    "cost": ["CostModel"],
})
