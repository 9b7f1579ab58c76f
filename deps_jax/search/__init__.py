"""The right subnet for a device: latency, predicted accuracy, search."""
