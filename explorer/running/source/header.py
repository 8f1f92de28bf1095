"""The docstring of the file: what the network is, what it costs, whose idea it was, and whose weights fit."""

from textwrap import fill

from explorer import families
from explorer.families import Config
from explorer.plan import Plan
from explorer.plan.lesions import NONE, Lesions, in_words
from explorer.running.source.layout import WIDTH


def header(config: Config, plan: Plan, lesions: Lesions = NONE) -> str:
    """What the file holds: title or knobs, what is taken away, costs, papers, and whose weights fit."""
    family, known = families.family_of(config), families.known_as(config)
    nearest = min(family.presets.values(), key=lambda preset: len(config.changes(preset.config)))
    changes = {} if known else config.changes(nearest.config)
    knobs = ", ".join(f"{name} {families.describe(value)}" for name, (_, value) in changes.items())
    title = families.TITLES[known] if known else f"{nearest.title}, but {knobs}" if knobs else nearest.title
    shape = " x ".join(map(str, plan.ops[0].shape))
    paragraphs = [
        f"{title}.",
        *_taken_away(config, lesions),
        f"{plan.params:,} parameters; {plan.macs:,} multiply-accumulates for an image of {shape}.",
        "\n".join(f"{paper}\n    {address}" for paper, address in family.papers.items()),
    ]
    if (name := families.torchvision_model(config)) and not lesions:
        paragraphs.append(f"torchvision.models.{name} is the same network: its state_dict() loads here, strictly.")
    return "\n\n".join(p if "\n" in p else fill(p, WIDTH) for p in paragraphs)


def _taken_away(config: Config, lesions: Lesions) -> list[str]:
    if not lesions:
        return []
    said = in_words(families.plan(config), *lesions)
    return [f"With lesions. {said} A state_dict() of the whole network loads here with strict=False."]
