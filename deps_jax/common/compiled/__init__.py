"""What is compiled once and kept: C++ for this processor, programs of XLA."""
