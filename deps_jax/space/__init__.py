"""What may exist: search spaces, subnets of them, their layers and costs."""
