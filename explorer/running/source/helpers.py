"""Classes that a kind of operation needs and torch.nn does not have."""

from explorer.plan import GROUP_NORM_GROUPS, Plan
from explorer.running.source.text import construction

HELPERS = {
    "SharedConv2d": '''class SharedConv2d(nn.Conv2d):
    """A kernel over all channels, of which each call reads the slice that begins at `start`."""

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        kernel = self.weight.narrow(1, start, x.shape[1])
        return F.conv2d(x, kernel, self.bias, padding=self.padding)''',
    "GroupNorm": f'''class GroupNorm(nn.GroupNorm):
    """In {GROUP_NORM_GROUPS} groups, or the most below that divide the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(max(g for g in range(1, {GROUP_NORM_GROUPS + 1}) if channels % g == 0), channels)''',
    "ZeroPad": '''class ZeroPad(nn.Module):
    """Every stride-th pixel, and zeros for the channels that are missing."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.channels - x.shape[1]))''',
    "DropPath": '''class DropPath(nn.Module):
    """In training, drops the whole branch of an image (1603.09382)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        noise = x.new_empty(len(x), 1, 1, 1).bernoulli_(1 - self.p).div_(1 - self.p)
        return x * noise''',
}


def helpers_of(plan: Plan) -> list[str]:
    """The helpers of a plan's operations; the module of such an operation begins with its helper's name."""
    used = {str(construction(op, plan[op.inputs[0]])[0]).removesuffix("(") for op in plan.ops[1:]}
    return [helper for name, helper in HELPERS.items() if name in used]
