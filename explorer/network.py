"""Build a network from a plan, and run it with any of its tensors kept: the library's front door."""

from explorer.running.network import build, run

__all__ = ["build", "run"]
