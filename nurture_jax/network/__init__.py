"""The network: backbones, proxy heads, sizes relative to the ruler, fusion."""
