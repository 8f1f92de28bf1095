"""Which command trains this very job? For whoever wants one run of a sweep again, on whatever machine."""

import shlex
from collections.abc import Mapping

from explorer.families import PRESETS, Config, ConfigError, describe
from explorer.learning.job import Job
from explorer.learning.recipe import QUICK, RECIPES, Recipe
from explorer.wording import clean


def train_command(job: Job, directory: str) -> str:
    """As one types it in a shell. Its title, owner and what it keeps on the way are left out: they change no weight."""
    network, turned = _network(job.config)
    recipe, of_recipe = _recipe(job.recipe)
    own = {"images": job.images, "most_seconds": job.most_seconds}
    changes = {
        **turned,
        **of_recipe,
        "threads": str(job.threads),
        "device": job.device,
        **{name: str(value) for name, value in own.items() if value},
    }
    words = ["python", "-m", "explorer", "train", directory, "--network", network, "--data", job.data]
    words += ["--recipe", recipe] if recipe != QUICK else []
    for name, value in changes.items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(clean(word, 1000) for word in words)


def _network(config: Config) -> tuple[str, Mapping[str, str]]:
    """The published network of its family that is nearest, and the knobs that are turned of it."""
    found: dict[str, dict[str, str]] = {}
    for name, preset in PRESETS.items():
        if preset.family == config.family:
            changes = {knob: value for knob, (_, value) in config.changes(preset).items()}
            try:
                same = preset.adapt(**changes) == config if changes else True
            except ConfigError:
                same = False
            if same:
                found[name] = {knob: describe(value) for knob, value in changes.items()}
    name = min(found, key=lambda one: len(found[one]))
    return name, found[name]


def _recipe(recipe: Recipe) -> tuple[str, Mapping[str, str]]:
    """The paper's recipe that is nearest, and what differs."""
    wanted = recipe.model_dump()
    changes = {
        name: {knob: describe(value) for knob, value in wanted.items() if getattr(paper.recipe, knob) != value}
        for name, paper in RECIPES.items()
    }
    name = min(changes, key=lambda one: len(changes[one]))
    return name, changes[name]
