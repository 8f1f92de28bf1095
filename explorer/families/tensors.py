"""The names and shapes of a checkpoint, as a family asks for them when it proposes a network that would have them."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Literal

from explorer.errors import ExplorerError
from explorer.plan.tensors import Shapes
from explorer.wording import clean

MOST_STAGES = 9  # that are looked for
LEAST_SHARE = 0.1  # of channels that a compression may keep


class Unlike(ExplorerError):
    """A tensor that the family's networks do not have so: the rest of a sentence that begins with the file."""


@dataclass(frozen=True)
class Tensors:
    shapes: Shapes

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def sizes(self, name: str, dimensions: int = 4) -> tuple[int, ...]:
        """The sizes of a tensor, none of them zero. Raises Unlike."""
        found = self.shapes.get(name)
        if found is None:
            raise Unlike(f"has no {name}")
        if len(found) != dimensions or not all(found):
            raise Unlike(f"has {name} of {clean(str(found))}, where there must be {dimensions} sizes above zero")
        return found

    def out(self, name: str) -> int:
        """The channels that a kernel makes. Raises Unlike."""
        return self.sizes(name)[0]

    def answers(self, name: str) -> int:
        """The numbers that a linear layer makes. Raises Unlike."""
        return self.sizes(name, 2)[0]

    def count(self, prefix: str) -> int:
        """How many numbers follow a prefix: of layer1.0.conv1.weight and layer1.1.conv1.weight 2 follow "layer1."."""
        return len(self.numbers(prefix))

    def numbers(self, prefix: str) -> list[int]:
        """In order. Of more than six digits there are none in a network."""
        rests = {name[len(prefix) :].partition(".")[0] for name in self.shapes if name.startswith(prefix)}
        return sorted(int(rest) for rest in rests if rest.isascii() and rest.isdigit() and len(rest) <= 6)

    def counts(self, prefix: str, inner: str = "") -> tuple[int, ...]:
        """`count` in stage 1, 2, .. as far as there are any: prefix "layer" gives those of "layer1.", "layer2.", .."""
        found: list[int] = []
        while len(found) < MOST_STAGES and (count := self.count(f"{prefix}{len(found) + 1}.{inner}")):
            found.append(count)
        return tuple(found)

    @property
    def norm(self) -> Literal["batch", "group", "none"]:
        """Batch norms have statistics; others are the only weights of one dimension."""
        if any(name.endswith(".running_mean") for name in self.shapes):
            return "batch"
        return "group" if any(name.endswith(".weight") and len(s) == 1 for name, s in self.shapes.items()) else "none"


def kept_share(changes: Iterable[tuple[int, int]]) -> float:
    """The roundest share of which each (channels before, after) is the whole part; some share where there is none."""
    changes = list(changes)
    least: float = max([LEAST_SHARE, *(after / before for before, after in changes)])
    for parts in (2, 10, 20, *(10**digits for digits in range(2, 8))):
        share: float = ceil(least * parts - 1e-6) / parts
        if all(int(before * share) == after for before, after in changes):
            return share
    return least
