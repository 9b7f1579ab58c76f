"""What we are compared with: golden records and networks in PyTorch, benchmarks."""
