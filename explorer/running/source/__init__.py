"""A network as Python: one file that needs torch alone, with the names, and the logits, of the network that runs.

Everything is read from the plan, so a new family needs nothing here. The dots in the operations' names give the
modules. Each module becomes text with holes where the numbers go; modules of equal text are one class, and the
numbers in which they differ are its constructor's arguments, or follow from those by simple arithmetic.

In order: `text`, `modules`, `forward`, `classes`; each uses only what stands before it.
"""

import re
from textwrap import fill

from explorer import families
from explorer.families import Config
from explorer.plan import Plan
from explorer.running import weights
from explorer.running.source.classes import HELPERS, MAIN, Classes
from explorer.running.source.text import WIDTH


def python_source(config: Config) -> str:
    """The network of a configuration as a Python file: it defines `Network`, and runs by itself."""
    plan = families.plan(config)
    return plan_source(plan, describe(config, plan))


def describe(config: Config, plan: Plan) -> str:
    """What the file holds: title or knobs, costs, papers, and whose weights fit."""
    family, known = families.family_of(config), families.known_as(config)
    nearest = min(family.presets.values(), key=lambda preset: len(config.changes(preset.config)))
    changes = {} if known else config.changes(nearest.config)
    knobs = ", ".join(f"{name} {families.describe(value)}" for name, (_, value) in changes.items())
    title = families.TITLES[known] if known else f"{nearest.title}, but {knobs}" if knobs else nearest.title
    shape = " x ".join(map(str, plan.ops[0].shape))
    paragraphs = [
        f"{title}.",
        f"{plan.params:,} parameters; {plan.macs:,} multiply-accumulates for an image of {shape}.",
        "\n".join(f"{paper}\n    {address}" for paper, address in family.papers.items()),
    ]
    if weights.offered(config):
        name = families.known_as(config.adapt(input_size=224))
        paragraphs.append(f"torchvision.models.{name} is the same network: its state_dict() loads here, strictly.")
    return "\n\n".join(p if "\n" in p else fill(p, WIDTH) for p in paragraphs)


def plan_source(plan: Plan, description: str) -> str:
    """The network of any plan; `description` opens the file."""
    classes = "\n\n\n".join(Classes(plan).written())
    helpers = [helper for name, helper in HELPERS.items() if re.search(rf"\b{name}\(", classes)]
    body = "\n\n\n".join([*helpers, classes, MAIN.format(shape=", ".join(map(str, plan.ops[0].shape)))])
    functional = "from torch.nn import functional as F\n" if "F." in body else ""
    return f'"""{description}\n"""\n\nimport torch\nfrom torch import Tensor, nn\n{functional}\n\n{body}'
