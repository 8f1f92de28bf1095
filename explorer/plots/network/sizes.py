"""How large is a node? As high as it has channels, and as wide as its maps are, on one scale for the whole network.

The scale of heights is set by the network that the visitor started from, not by the one that is drawn: else a growth
rate of 48 would look as one of 12 does. Heights are in proportion to channels, widths to the root of a map's side: 224
pixels and 7 would not fit one picture otherwise.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.drawing import Drawing, Node
from explorer.plan.kinds import KINDS

USUAL = 120.0  # height of what has as many channels as the reference
TALLEST = 320.0  # beyond it the scale shrinks
ROOT = 2.1  # width for the root of a pixel
THINNEST, LOWEST = 4.0, 3.0  # what can still be seen and clicked
RULER = 44.0  # height of the ruler, at most

Numbers = NDArray[np.float64]


class Sizes(NamedTuple):
    """Of each node, in the drawing's units; `gathered` is the height of the concat inside a closed one, or 0."""

    width: Numbers
    height: Numbers
    gathered: Numbers
    per_channel: float  # units of height


def sizes(drawing: Drawing, reference: int) -> Sizes:
    """`reference` channels are as high as USUAL, or lower where the drawing would be too tall."""
    nodes = drawing.nodes
    channels = np.array([_channels(node) for node in nodes], float)
    gathered = np.array([_gathered(node) for node in nodes], float)
    most = float(np.maximum(channels, gathered).max())
    per_channel = min(USUAL / reference, TALLEST / most)
    side = np.array([node.ops[-1].shape[1] for node in nodes], float)
    port = np.array([node.level == "port" for node in nodes])
    return Sizes(
        width=np.where(port, THINNEST, np.maximum(THINNEST, ROOT * np.sqrt(side))),
        height=np.maximum(LOWEST, per_channel * channels),
        gathered=per_channel * gathered,
        per_channel=per_channel,
    )


def _channels(node: Node) -> int:
    return node.ops[-1].shape[0]


def _gathered(node: Node) -> int:
    """Channels of the largest concat within a closed block, if they are more than those that leave it."""
    inside = [op.shape[0] for op in node.ops if KINDS[op.kind].join == "concat"]
    most = max(inside, default=0) if node.level in ("block", "stage") else 0
    return most if most > _channels(node) else 0


def ruler(per_channel: float) -> tuple[int, float]:
    """A round number of channels to draw beside the nodes, and its height."""
    channels = 2 ** max(0, int(np.log2(RULER / per_channel)))
    return channels, channels * per_channel
