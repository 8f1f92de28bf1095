"""The small networks and the quick recipe that most experiments use: handwritten digits at 16 pixels."""

from typing import Any

from explorer.families import PRESETS, Config
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe

SIDE, WIDTH = 16, 8  # pixels; channels of a ResNet's first stage
CHANCE = 0.1  # of ten classes

# 210 steps of 64 images: ten times through the 1,400
RECIPE = Recipe(epochs=10, batch_size=64, learning_rate=0.05, schedule="cosine")


def small(preset: str, **knobs: Any) -> Config:
    """A published network, for grey pictures of 16 pixels, with other knobs as given."""
    return PRESETS[preset].adapt(input_size=SIDE, channels=1, classes=10, **knobs)


def narrow(preset: str, **knobs: Any) -> Config:
    """As `small`, a ResNet or a plain network of 8, 16 and 32 channels in place of 16, 32 and 64."""
    return small(preset, width=WIDTH, stem_width=WIDTH, **knobs)


def job(config: Config, recipe: Recipe = RECIPE, images: int = 0) -> Job:
    return Job(config, "digits", recipe, images=images)
