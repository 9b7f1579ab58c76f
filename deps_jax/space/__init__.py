"""What may exist: search spaces and blocks, subnets of them, their layers and costs."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "rows": ["Activation", "Conv", "Gate", "MaxPool", "Shortcut", "Width"],
    "block": ["BOTTLENECK", "BlockForm", "INVERTED_RESIDUAL"],
    "search_space": ["SearchSpace", "Stage"],
    "families": ["MOBILENET_V3", "MOBILENET_V3_CIFAR", "PROXYLESS", "PROXYLESS_GOOGLE",
                 "RESNET50D", "RESNET50D_CIFAR", "SPACES"],
    "subnet": ["Subnet", "largest", "smallest", "uniform", "sample", "stack"],
    "subnet_text": ["encode", "decode", "reported_subnets"],
    "cost": ["CostModel"],
})
