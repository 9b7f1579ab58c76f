"""What both products share: loop, checkpoints, devices, metrics. Imports neither of them."""
