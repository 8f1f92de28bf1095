"""What a family of networks offers, as one value: everything else discovers and asks it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from explorer.families.config import Config
from explorer.plan import Op, Plan


class Preset(NamedTuple):
    """A published network: its title as the field writes it, and its configuration."""

    title: str
    config: Config


def no_pairs(plan: Plan) -> tuple[tuple[Op, Op], ...]:
    return ()


@dataclass(frozen=True)
class Family:
    name: str
    title: str
    year: int  # of its first paper; families are listed in this order
    colour: str  # the same in every picture; from Okabe and Ito's palette, which colour-blind people can tell apart
    config: type[Config]
    write: Callable[..., None]  # (Recorder, config): writes the network's operations
    depth: Callable[[Any], int]  # as the family's papers count it
    depths: Callable[[Any], Mapping[str, dict[str, Any]]]  # label -> the fields that choose this depth
    presets: Mapping[str, Preset]
    about: str  # markdown with formulas
    papers: Mapping[str, str]  # title -> address
    # pairs of operations that compute the same features twice, where the family has such: first, then refined
    pairs: Callable[[Plan], tuple[tuple[Op, Op], ...]] = no_pairs
