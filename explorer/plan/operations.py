"""What is a network, written down? Operations, each with its name, inputs, output shape and costs.

Sizes are per image. One MAC is one multiply and one add in a convolution or a linear layer; biases, norms,
activations, pools and joins count as none (torchvision, ptflops and the papers of these families count so).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

Inits = Literal["kaiming", "default"]


class Op(NamedTuple):
    """One operation. `stride` and `receptive_field` are in pixels of the input, along one side.

    The receptive field is the theoretical one: where it reaches past the border it is not cut
    (Araujo et al., Distill 2019). `attributes` are a tuple of the kind's own, or None; a kind whose operations may
    share a kernel has a `shared` among them. `stage` and `block` say where the operation stands, for folding.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: tuple[int, int, int]  # (C, H, W); of a vector (C, 1, 1)
    params: int
    macs: int
    stride: int
    receptive_field: int
    attributes: Any
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
    """A network, written down: its operations in the order in which they run; the last one gives the logits.

    `refinements` are pairs of operations that compute the same features twice, first and refined, by name.
    """

    ops: tuple[Op, ...]
    init: Inits = "kaiming"
    refinements: tuple[tuple[str, str], ...] = ()

    @cached_property
    def params(self) -> int:
        return sum([op.params for op in self.ops])

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass; FLOPs are twice as many."""
        return sum([op.macs for op in self.ops])

    @cached_property
    def readers(self) -> dict[str, tuple[str, ...]]:
        """Each operation -> those that read it, in the order in which they run."""
        found: dict[str, list[str]] = {op.name: [] for op in self.ops}
        for op in self.ops:
            for name in op.inputs:
                found[name].append(op.name)
        return {name: tuple(names) for name, names in found.items()}

    @cached_property
    def _index(self) -> dict[str, Op]:
        return {op.name: op for op in self.ops}

    def __getitem__(self, name: str) -> Op:
        return self._index[name]

    def __contains__(self, name: object) -> bool:
        return name in self._index
