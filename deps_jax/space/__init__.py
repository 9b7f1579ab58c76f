"""What may exist: search spaces, subnets of them, their layers and costs."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "search_space": ["SearchSpace", "Stage"],
    "families": ["MOBILENET_V3", "MOBILENET_V3_CIFAR", "SPACES"],
    "subnet": ["Subnet", "largest", "smallest", "uniform", "sample", "stack", "encode", "decode"],
    "cost": ["CostModel"],
})
