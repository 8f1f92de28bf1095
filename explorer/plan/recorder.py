"""What families write plans with: one operation a call, `y = net.conv("conv1", x, 64, kernel=3)`."""

from explorer.plan.kinds import activation, convolution, dropout, joins, linear, norm, pad, pools
from explorer.plan.kinds.activation import Functions
from explorer.plan.kinds.norm import Norms
from explorer.plan.writer import Writer


class Recorder(Writer):
    """Every call takes and returns operations. What a call does stands with its kind; a kind that is not listed
    here is written by its function, `upsample(net, "up", x, 2)`.
    """

    conv = convolution.conv
    shared_conv = convolution.shared_conv
    norm = norm.norm
    activation = activation.activation
    max_pool = pools.max_pool
    avg_pool = pools.avg_pool
    global_pool = pools.global_pool
    adaptive_pool = pools.adaptive_pool
    linear = linear.linear
    add = joins.add
    multiply = joins.multiply
    concat = joins.concat
    pad = pad.pad
    drop_path = dropout.drop_path
    dropout = dropout.dropout  # last, since it hides the module


__all__ = ["Functions", "Norms", "Recorder"]
