"""A family that no file has, for tests of what general code does with any family."""

from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from explorer.families import FAMILIES, PRESETS, TITLES, Config, Family, Preset, known_as
from explorer.plan import Recorder


class MadeConfig(Config):
    """Stages of 3x3 convolutions; no stem."""

    family: Literal["made"] = "made"
    width: int = Field(4, ge=1, le=64, title="Width W", description="channels of each convolution")
    stages: tuple[Annotated[int, Field(ge=1, le=9)], ...] = Field(
        (1, 1), min_length=2, max_length=3, title="Convolutions", description="convolutions of each stage"
    )
    MAIN: ClassVar[tuple[str, ...]] = ("width", "stages")


def write(net: Recorder, cfg: MadeConfig) -> None:
    x = net.input
    for s, count in enumerate(cfg.stages):
        with net.stage(f"stage {s + 1}", f"stage{s + 1}."):
            for i in range(count):
                x = net.activation(f"relu{i}", net.norm(f"norm{i}", net.conv(f"conv{i}", x, cfg.width, kernel=3)))
            x = net.max_pool("pool", x, kernel=2, stride=2)
    with net.stage("head"):
        net.linear("fc", net.global_pool("avgpool", x), cfg.classes)


TINY = MadeConfig(classes=5, input_size=16)


def made(**fields: Any) -> Family:
    """The family, or with other `fields` of Family another one."""
    usual: dict[str, Any] = {
        "name": "made",
        "title": "Made",
        "year": 2026,
        "colour": "#000000",
        "joins": "nothing",
        "config": MadeConfig,
        "write": write,
        "depth": lambda cfg: sum(cfg.stages) + 1,
        "depths": lambda cfg: {"3": {"stages": (1, 1)}},
        "presets": {"made3": Preset("Made-3", TINY)},
        "examples": (TINY,),
        "about": "It is made.",
        "papers": {"A paper": "https://example.org/made"},
    }
    return Family(**usual | fields)


def register(monkeypatch: pytest.MonkeyPatch, family: Family) -> Family:
    """The family as if it had a file, until the test ends. What is remembered of families was of those before it."""
    known_as.cache_clear()
    monkeypatch.setitem(FAMILIES, family.name, family)
    for name, preset in family.presets.items():
        monkeypatch.setitem(PRESETS, name, preset.config)
        monkeypatch.setitem(TITLES, name, preset.title)
    return family
