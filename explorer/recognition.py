"""Which network has these tensors? What a checkpoint tells of it, by names and shapes alone, without torch.

A family proposes a network from a few of the tensors, and its plan is held against all of them, so that a wrong
proposal never passes. Where names and shapes cannot tell networks apart, the published one is taken.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from explorer.errors import ExplorerError
from explorer.families import (
    FAMILIES,
    PRESETS,
    TITLES,
    Config,
    ConfigError,
    Family,
    PlanError,
    family_of,
    known_as,
    write_plan,
)
from explorer.families.tensors import Tensors, Unlike
from explorer.plan.kinds import KINDS
from explorer.plan.tensors import Shapes, tensors, without_counters
from explorer.plan.wiring import owner
from explorer.wording import clean


class Unrecognised(ExplorerError):
    """Tensors of no network that is known here: the rest of a sentence that begins with the file's name.

    `differences`: one line for each tensor that the nearest network has not so.
    """

    def __init__(self, sentence: str, differences: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.differences = differences


class _Near(NamedTuple):
    family: Family
    differences: tuple[str, ...]


def recognise(shapes: Shapes) -> Config:
    """The network whose state dict has these names and shapes, on images of the size that is usual for its stem.

    Raises Unrecognised.
    """
    found = Tensors(without_counters(shapes))
    if published := _published(found.shapes):
        return published
    near = []
    for family in FAMILIES.values():
        try:
            fields = family.recognise(found)
            if fields is None:
                continue
            config = family.config.parse({"family": family.name, **fields})
            lines = misfits(config, found.shapes)
        except (Unlike, ConfigError, PlanError) as reason:
            near.append(_Near(family, (str(reason),)))
        else:
            if not lines:
                return config
            near.append(_Near(family, lines))
    if not near:
        *some, last = (family.title for family in FAMILIES.values())
        begin = f"its first tensor is {clean(next(iter(shapes)))}" if shapes else "it has none"
        raise Unrecognised(f"has not the tensors of a {', '.join(some)} or {last}: {begin}")
    nearest = min(near, key=lambda one: len(one.differences))
    raise Unrecognised(f"looks like a {nearest.family.title}, but {nearest.differences[0]}", nearest.differences)


def misfits(config: Config, shapes: Shapes) -> tuple[str, ...]:
    """One phrase for each tensor that the network has not so: first shapes, then what it has not, then what is missing.

    How many batches a norm has seen may be missing.
    """
    found, needed = without_counters(shapes), without_counters(tensors(write_plan(config)))
    other = [name for name, shape in needed.items() if found.get(name, shape) != shape]
    return (
        *(f"{clean(name)} is {clean(str(found[name]))}, and would have to be {needed[name]}" for name in other),
        *(f"it has no {name}" for name in needed if name not in found),
        *(f"it has {clean(name)}, which that network has not" for name in found if name not in needed),
    )


# ---- published networks, whatever their number of classes and the channels of their images ----


class _Ends(NamedTuple):
    """The names of the kernel that reads the image, and of the matrix that gives the logits."""

    first: str
    last: str

    def form(self, shapes: Shapes) -> int:
        """The same for two networks that differ only in the number of classes and of the image's channels."""
        free = {f"{self.first}.weight": 1, f"{self.last}.weight": 0, f"{self.last}.bias": 0}
        return hash(
            frozenset(
                (name, shape[: free[name]] + shape[free[name] + 1 :] if name in free else shape)
                for name, shape in shapes.items()
            )
        )


@cache
def _published_forms() -> Mapping[_Ends, Mapping[int, str]]:
    """Ends -> form -> name of the published network; of two that no tensor tells apart, of the first."""
    found: dict[_Ends, dict[int, str]] = {}
    for name, config in PRESETS.items():
        with suppress(PlanError):
            plan = write_plan(config)
            first = next(op for op in plan.ops[1:] if KINDS[op.kind].weighted)
            ends = _Ends(owner(first), owner(plan.ops[-1]))
            found.setdefault(ends, {}).setdefault(ends.form(without_counters(tensors(plan))), name)
    return found


def _published(shapes: Shapes) -> Config | None:
    for ends, forms in _published_forms().items():
        kernel, matrix = shapes.get(f"{ends.first}.weight", ()), shapes.get(f"{ends.last}.weight", ())
        name = forms.get(ends.form(shapes)) if len(kernel) == 4 and len(matrix) == 2 else None
        if name:
            with suppress(ConfigError):
                config = PRESETS[name].adapt(classes=matrix[0], channels=kernel[1])
                if not misfits(config, shapes):
                    return config
    return None


def title(config: Config) -> str:
    """What a network is called in a sentence: ResNet-50 for 10 classes; a ResNet of depth 77."""
    family = family_of(config)
    for usual in {preset.config.input_size: preset.config for preset in family.presets.values()}.values():
        with suppress(ConfigError):
            known = known_as(config.adapt(classes=usual.classes, channels=usual.channels, input_size=usual.input_size))
            if known:
                classes = "" if config.classes == usual.classes else f" for {config.classes:,} classes"
                return TITLES[known] + classes + ("" if config.channels == usual.channels else " of grey images")
    return f"a {family.title} of depth {family.depth(config)}"
