"""Batch statistics and accuracy of a subnet, and what is told of them."""
