"""The vocabulary in which a network is written down: operations, and the recorder that families write with.

A plan is data: no torch, no tensors. Counts, the drawing, the table and the network that runs are all read
from it, so they cannot disagree.

Sizes are per image. One MAC is one multiply and one add in a convolution or a linear layer; biases, norms,
activations, pools and joins count as none (torchvision, ptflops and the papers of these families count so).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

Norms = Literal["batch", "group", "none"]
Functions = Literal["relu", "leaky_relu", "elu", "silu", "gelu", "tanh"]
Inits = Literal["kaiming", "default"]

GROUP_NORM_GROUPS = 32  # Wu & He, 1803.08494; fewer where 32 does not divide the channels


class Conv(NamedTuple):
    """A convolution. With `shared`, it reads input channels start.. of a kernel that other operations read too."""

    kernel: int
    stride: int
    padding: int
    groups: int
    bias: bool
    shared: str = ""  # name of the kernel that is shared; "" for one of its own
    shared_channels: int = 0  # input channels of the whole shared kernel
    start: int = 0


class Norm(NamedTuple):
    function: Norms
    groups: int
    zero: bool  # scale initialised to zero (Goyal et al., 1706.02677, section 5.1)


class Activation(NamedTuple):
    function: str


class Pool(NamedTuple):
    kernel: int
    stride: int
    padding: int


class Linear(NamedTuple):
    bias: bool


class Pad(NamedTuple):
    """Every stride-th pixel, then channels of zeros: the shortcut of option A."""

    stride: int


class Drop(NamedTuple):
    p: float


Attributes = Conv | Norm | Activation | Pool | Linear | Pad | Drop | None


class Op(NamedTuple):
    """One operation. `stride` and `receptive_field` are in pixels of the input, along one side.

    The receptive field is the theoretical one: where it reaches past the border it is not cut
    (Araujo et al., Distill 2019). `stage` and `block` say where the operation stands, for folding.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: tuple[int, int, int]  # (C, H, W)
    params: int
    macs: int
    stride: int
    receptive_field: int
    attributes: Attributes
    stage: str
    block: str

    @property
    def size(self) -> int:
        """Numbers in the output, for one image."""
        c, h, w = self.shape
        return c * h * w


class Kernel(NamedTuple):
    """A convolution kernel (out, channels, size, size) that several operations read slices of."""

    name: str
    channels: int
    out: int
    size: int


@dataclass(frozen=True)
class Plan:
    """A network, written down: its operations in the order in which they run; the last one gives the logits."""

    ops: tuple[Op, ...]
    init: Inits = "kaiming"

    @cached_property
    def params(self) -> int:
        return sum(op.params for op in self.ops)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass; FLOPs are twice as many."""
        return sum(op.macs for op in self.ops)

    @cached_property
    def _index(self) -> dict[str, Op]:
        return {op.name: op for op in self.ops}

    def __getitem__(self, name: str) -> Op:
        return self._index[name]

    def __contains__(self, name: object) -> bool:
        return name in self._index


class Recorder:
    """Writes a plan, one operation a call. Every call takes and returns operations: `y = net.conv("conv1", x, 64)`.

    `norm` and `activation` hold for the whole network. Without norm, convolutions carry a bias, which is the
    part of the norm's work that they can do themselves.
    """

    def __init__(self, channels: int, size: int, norm: Norms = "batch", function: Functions = "relu") -> None:
        self._norm = norm
        self._activation = Activation(function)
        self._batch_norm = Norm("batch", 0, False)
        self._ops: dict[str, Op] = {}
        self._prefix = ""
        self._stage = "input"
        self._block = ""
        self._read: dict[str, int] = {}  # input channels of each shared kernel that are already counted
        self.input = self._write("input", "input", (), (channels, size, size), 0, 0, 1, 1, None)

    def finish(self, init: Inits = "kaiming") -> Plan:
        return Plan(tuple(self._ops.values()), init)

    @contextmanager
    def stage(self, label: str, prefix: str = "") -> Iterator[None]:
        """Operations written inside belong to the stage `label`; their names begin with `prefix`."""
        self._stage, self._prefix = label, prefix
        yield
        self._stage = self._prefix = ""

    @contextmanager
    def block(self, label: str, prefix: str) -> Iterator[None]:
        """Operations written inside belong to the block `label` of the stage; `prefix` joins their names."""
        outer = self._block, self._prefix
        self._block, self._prefix = label, self._prefix + prefix
        yield
        self._block, self._prefix = outer

    def conv(
        self, name: str, x: Op, out: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool | None = None
    ) -> Op:
        """Padded so that stride 1 keeps the size."""
        c, h, w = x.shape
        if c % groups or out % groups:
            raise ValueError(f"{name} has {groups} groups, which do not divide {c} channels into {out}")
        padding = kernel // 2
        h = (h + 2 * padding - kernel) // stride + 1
        w = (w + 2 * padding - kernel) // stride + 1
        bias = self._norm == "none" if bias is None else bias
        weights = out * (c // groups) * kernel * kernel
        field = x.receptive_field + (kernel - 1) * x.stride
        return self._write(
            name, "conv", (x.name,), (out, h, w), weights + out * bias, weights * h * w,
            x.stride * stride, field, Conv(kernel, stride, padding, groups, bias),
        )  # fmt: skip

    def kernel(self, name: str, channels: int, out: int, size: int) -> Kernel:
        """A kernel for `shared_conv`; it costs parameters only as far as it is read."""
        return Kernel(self._prefix + name, channels, out, size)

    def shared_conv(self, name: str, x: Op, kernel: Kernel, start: int = 0) -> Op:
        """Convolve with the kernel's input channels start .. start + C.

        Parameters are those that no operation before this one has read, so that a sum counts each once.
        Raises ValueError where the kernel has no such channels.
        """
        c, h, w = x.shape
        stop = start + c
        if stop > kernel.channels:
            raise ValueError(f"{name} reads channels {start}..{stop} of {kernel.name}, which has {kernel.channels}")
        read = self._read.get(kernel.name)
        bias = self._norm == "none"
        params = kernel.out * max(0, stop - (read or 0)) * kernel.size**2 + kernel.out * (bias and read is None)
        self._read[kernel.name] = max(stop, read or 0)
        attributes = Conv(kernel.size, 1, kernel.size // 2, 1, bias, kernel.name, kernel.channels, start)
        field = x.receptive_field + (kernel.size - 1) * x.stride
        macs = kernel.out * c * kernel.size**2 * h * w
        return self._write(name, "conv", (x.name,), (kernel.out, h, w), params, macs, x.stride, field, attributes)

    def norm(self, name: str, x: Op, zero: bool = False) -> Op:
        """Nothing, where the network has no norms."""
        if self._norm == "none":
            return x
        channels = x.shape[0]
        attributes = self._batch_norm
        if self._norm == "group":
            groups = GROUP_NORM_GROUPS
            while channels % groups:
                groups -= 1
            attributes = Norm("group", groups, zero)
        elif zero:
            attributes = Norm("batch", 0, True)
        return self._same(name, "norm", x, attributes, 2 * channels)

    def activation(self, name: str, x: Op, function: str = "") -> Op:
        """Named as in torchvision ("relu1"); where the network's function is another, the name says so ("silu1")."""
        attributes = Activation(function) if function else self._activation
        if attributes.function != "relu":
            name = name.replace("relu", attributes.function)
        return self._same(name, "activation", x, attributes)

    def max_pool(self, name: str, x: Op, kernel: int, stride: int, padding: int = 0) -> Op:
        return self._pool(name, "max_pool", x, kernel, stride, padding)

    def avg_pool(self, name: str, x: Op, kernel: int, stride: int) -> Op:
        return self._pool(name, "avg_pool", x, kernel, stride, 0)

    def global_pool(self, name: str, x: Op) -> Op:
        """(C, H, W) -> (C, 1, 1), the mean."""
        c, h, _ = x.shape
        field = x.receptive_field + (h - 1) * x.stride
        return self._write(name, "global_pool", (x.name,), (c, 1, 1), 0, 0, x.stride * h, field, None)

    def linear(self, name: str, x: Op, out: int) -> Op:
        """Takes (C, 1, 1) as a vector."""
        weights = out * x.size
        return self._write(
            name, "linear", (x.name,), (out, 1, 1), weights + out, weights, x.stride, x.receptive_field, Linear(True)
        )

    def add(self, name: str, x: Op, y: Op) -> Op:
        if x.shape != y.shape:
            raise ValueError(f"{name} adds {x.name} {x.shape} and {y.name} {y.shape}: the shapes must be equal")
        field = max(x.receptive_field, y.receptive_field)
        return self._write(name, "add", (x.name, y.name), x.shape, 0, 0, x.stride, field, None)

    def multiply(self, name: str, x: Op, gate: Op) -> Op:
        """(C, H, W) times a gate (C, 1, 1)."""
        if gate.shape != (x.shape[0], 1, 1):
            raise ValueError(f"{name} multiplies {x.shape} by {gate.name} {gate.shape}: the gate must be (C, 1, 1)")
        field = max(x.receptive_field, gate.receptive_field)
        return self._write(name, "multiply", (x.name, gate.name), x.shape, 0, 0, x.stride, field, None)

    def concat(self, name: str, xs: Sequence[Op]) -> Op:
        """Along channels. Of a single tensor nothing is made."""
        if len(xs) == 1:
            return xs[0]
        names, _, _, shapes, _, _, strides, fields, *_ = zip(*xs, strict=True)
        channels, heights, widths = zip(*shapes, strict=True)
        h, w = heights[0], widths[0]
        if heights.count(h) < len(xs) or widths.count(w) < len(xs):
            told = ", ".join(f"{x.name} {x.shape}" for x in xs)
            raise ValueError(f"{name} joins {told}: heights and widths must be equal")
        return self._write(name, "concat", names, (sum(channels), h, w), 0, 0, strides[0], max(fields), None)

    def pad(self, name: str, x: Op, out: int, stride: int) -> Op:
        """Every stride-th pixel, and zeros for the channels that are missing (He et al., 1512.03385, option A)."""
        c, h, w = x.shape
        if out < c:
            raise ValueError(f"{name} pads {c} channels to {out}: zeros cannot take channels away")
        shape = (out, (h - 1) // stride + 1, (w - 1) // stride + 1)
        return self._write(name, "pad", (x.name,), shape, 0, 0, x.stride * stride, x.receptive_field, Pad(stride))

    def dropout(self, name: str, x: Op, p: float) -> Op:
        """Nothing, where p is zero."""
        return self._same(name, "dropout", x, Drop(p)) if p else x

    def drop_path(self, name: str, x: Op, p: float) -> Op:
        """Drops the whole branch of an image (Huang et al., 1603.09382); nothing, where p is zero."""
        return self._same(name, "drop_path", x, Drop(p)) if p else x

    def _pool(self, name: str, kind: str, x: Op, kernel: int, stride: int, padding: int) -> Op:
        c, h, w = x.shape
        h = (h + 2 * padding - kernel) // stride + 1
        w = (w + 2 * padding - kernel) // stride + 1
        field = x.receptive_field + (kernel - 1) * x.stride
        attributes = Pool(kernel, stride, padding)
        return self._write(name, kind, (x.name,), (c, h, w), 0, 0, x.stride * stride, field, attributes)

    def _same(self, name: str, kind: str, x: Op, attributes: Attributes, params: int = 0) -> Op:
        """An operation that changes no shape."""
        return self._write(name, kind, (x.name,), x.shape, params, 0, x.stride, x.receptive_field, attributes)

    def _write(
        self,
        name: str,
        kind: str,
        inputs: tuple[str, ...],
        shape: tuple[int, int, int],
        params: int,
        macs: int,
        stride: int,
        receptive_field: int,
        attributes: Attributes,
    ) -> Op:
        name = self._prefix + name
        if name in self._ops:
            raise ValueError(f"there is an operation {name!r} already")
        # tuple.__new__ takes half the time of Op(...), and a plan has hundreds of them
        self._ops[name] = op = tuple.__new__(
            Op, (name, kind, inputs, shape, params, macs, stride, receptive_field, attributes, self._stage, self._block)
        )
        return op
