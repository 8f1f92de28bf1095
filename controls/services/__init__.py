"""What pages ask the library for, run once and remembered: built networks, forward passes, gradient flows."""
