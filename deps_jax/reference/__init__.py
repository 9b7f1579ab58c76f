"""What we are compared with: golden records and networks in PyTorch, the benchmark."""
