"""Side by side with the peers, and with what the project promises: `python -m benchmarks`."""
