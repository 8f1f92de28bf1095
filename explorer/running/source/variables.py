"""The variables of a forward: which tensors, lists of tensors and modules are at hand under which names."""

from collections.abc import Iterator
from itertools import chain, count
from typing import NamedTuple

from explorer.running.source.arguments import agree
from explorer.running.source.loops import Loop, Tensors
from explorer.running.source.modules import Module
from explorer.running.text import Read, Text, attribute


class Kernels(NamedTuple):
    """A variable that holds a series of kernels."""

    variable: str
    pattern: str  # of their paths, for an f-string in a loop over i
    length: int


class Variables:
    def __init__(self, module: Module, loop: Loop | None) -> None:
        self.module = module
        self.tensors: dict[str | None, str] = {}  # the variable of each
        self.lists: dict[str, Tensors] = {}  # expressions that are lists of tensors
        self.borrowed: dict[str, str] = {}  # the argument for each module that is handed in
        self.kernels: dict[str, Kernels] = {}  # by the path of the first
        if loop is None:
            self.tensors = dict(zip(module.inputs, letters(), strict=False))
            self.borrowed = {path: f"kernels{i or ''}" for i, path in enumerate(module.borrowed)}
            return
        if not loop.given.listed:
            self.tensors = {loop.given.values[0]: "x"}
        if loop.pattern.variable == "features":
            self.lists = {"features": loop.left, "features[1:]": loop.left[1:]}
        else:
            self.tensors |= dict.fromkeys(loop.left, loop.pattern.variable)

    def parameters(self) -> str:
        """Of a forward that is no loop."""
        tensors = [f"{name}: Tensor" for name in self.tensors.values()]
        return ", ".join([*tensors, *(f"{name}: nn.Module" for name in self.borrowed.values())])

    def add_kernels(self, paths: list[str], pattern: str) -> None:
        """A variable for the series of kernels that a call borrows; calls may read more or fewer of one series."""
        first = paths[0]
        known = self.kernels.get(first, Kernels(f"kernels{len(self.kernels) or ''}", pattern, 0))
        self.kernels[first] = known._replace(length=max(known.length, len(paths)))

    def read(self, text: Text) -> Text:
        """The text with variables in place of tensors."""
        return tuple(self._expression(part) if isinstance(part, Read) else part for part in text)

    def submodule(self, path: str) -> str:
        """A module of this one, or one that is handed in, or inside of that."""
        if self.module.holds(path):
            return attribute(self.module.local(path))
        outer = next(outer for outer in self.borrowed if f"{path}.".startswith(f"{outer}."))
        inner = attribute(path[len(outer) + 1 :]).removeprefix("self") if path != outer else ""
        return self.borrowed[outer] + inner

    def busy(self, needed: set[str | None]) -> set[str]:
        """The names that a new variable must not have, while these tensors are needed."""
        held = {variable for name, variable in self.tensors.items() if name in needed}
        return held | {*self.lists, *self.borrowed.values(), *(k.variable for k in self.kernels.values()), "features"}

    def _expression(self, read: Read) -> str:
        if not read.listed:
            return self._tensor(read.values[0])
        parts, rest = [], read.values
        while rest:
            whole = next((text for text, have in self.lists.items() if agree(have, rest[: len(have)])), "")
            parts.append(f"*{whole}" if whole else self._tensor(rest[0]))
            rest = rest[len(self.lists[whole]) if whole else 1 :]
        return parts[0][1:] if len(parts) == 1 and parts[0][0] == "*" else f"[{', '.join(parts)}]"

    def _tensor(self, name: str | None) -> str:
        items = (f"{text}[{have.index(name)}]" for text, have in self.lists.items() if name in have)
        return self.tensors.get(name) or next(items, "None")


def letters() -> Iterator[str]:
    return chain("xyzuvw", (f"x{i}" for i in count(1)))
