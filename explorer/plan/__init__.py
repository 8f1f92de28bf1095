"""The vocabulary in which a network is written down, and what can be told from a network so written.

A plan is data: no torch, no tensors. Counts, the drawing, the table and the network that runs are all read from it,
so they cannot disagree. `operations`: what a plan is. `recorder`: what families write with. `kinds`: one file for
each kind of operation, and all that is known of it without running it. `wiring`: who reads whom.
"""

from explorer.plan.operations import Inits, Kernel, Op, Plan
from explorer.plan.recorder import Functions, Norms, Recorder

__all__ = ["Functions", "Inits", "Kernel", "Norms", "Op", "Plan", "Recorder"]
