"""How an operation gets into a plan: its name is put together, and where it stands is noted."""

from types import TracebackType
from typing import Any

from explorer.plan.operations import Inits, Kernel, Op, Plan


class Writer:
    """The plan while it is written. The functions of `explorer.plan.kinds` write the operations, each by `write`.

    `norm` and `function` (the activation) hold for the whole network. Without norm, convolutions carry a bias,
    which is the part of the norm's work that they can do themselves.
    """

    def __init__(self, channels: int, size: int, norm: str = "batch", function: str = "relu") -> None:
        self.norms = norm
        self.function = function
        self.read: dict[str, int] = {}  # input channels of each shared kernel that are already counted
        self._ops: dict[str, Op] = {}
        self._refinements: list[tuple[str, str]] = []
        self._place = "input", "", ""  # stage, block, and what names begin with
        self.input = self.write("input", "input", (), (channels, size, size), 0, 0, 1, 1, None)

    def finish(self, init: Inits = "kaiming") -> Plan:
        return Plan(tuple(self._ops.values()), init, tuple(self._refinements))

    def stage(self, label: str, prefix: str = "") -> "_Place":
        """Operations written inside belong to the stage `label`; their names begin with `prefix`."""
        return _Place(self, (label, "", prefix), ("", "", ""))

    def block(self, label: str, prefix: str) -> "_Place":
        """Operations written inside belong to the block `label` of the stage; `prefix` joins their names."""
        stage, _, before = self._place
        return _Place(self, (stage, label, before + prefix), self._place)

    def refine(self, first: Op, again: Op) -> None:
        """Note that `again` computes the features of `first` anew."""
        self._refinements.append((first.name, again.name))

    def kernel(self, name: str, channels: int, out: int, size: int) -> Kernel:
        """A kernel for `shared_conv`; it costs parameters only as far as it is read."""
        return Kernel(self._place[2] + name, channels, out, size)

    def write(
        self,
        name: str,
        kind: str,
        inputs: tuple[str, ...],
        shape: tuple[int, int, int],
        params: int,
        macs: int,
        stride: int,
        receptive_field: int,
        attributes: Any,
    ) -> Op:
        """Raises ValueError where the name is taken."""
        stage, block, prefix = self._place
        name = prefix + name
        if name in self._ops:
            raise ValueError(f"there is an operation {name!r} already")
        # tuple.__new__ takes half the time of Op(...), and a plan has hundreds of them
        self._ops[name] = op = tuple.__new__(
            Op, (name, kind, inputs, shape, params, macs, stride, receptive_field, attributes, stage, block)
        )
        return op

    def same(self, name: str, kind: str, x: Op, attributes: Any, params: int = 0) -> Op:
        """An operation that changes no shape."""
        return self.write(name, kind, (x.name,), x.shape, params, 0, x.stride, x.receptive_field, attributes)


class _Place:
    """`with` it, operations stand there. A class, which takes a third of the time of @contextmanager."""

    __slots__ = ("inside", "outside", "writer")

    def __init__(self, writer: Writer, inside: tuple[str, str, str], outside: tuple[str, str, str]) -> None:
        self.writer, self.inside, self.outside = writer, inside, outside

    def __enter__(self) -> None:
        self.writer._place = self.inside

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.writer._place = self.outside
