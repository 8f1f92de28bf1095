"""Harder than the digits and still learned in seconds: drawn shapes of 32 pixels, behind a stem that halves them twice.

So the blocks see 8x8 pixels, and a network of fifty thousand parameters is right on half of the test images after 300
steps; guessing is right on a tenth.
"""

from typing import Any

from explorer.families import PRESETS, Config
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe

SIDE = 32  # pixels
CHANCE = 0.1  # of ten classes


def small(preset: str, **knobs: Any) -> Config:
    """A published network for colour pictures of 32 pixels with a deep stem of 16 channels, other knobs as given."""
    own = {"input_size": SIDE, "channels": 3, "classes": 10, "stem": "deep", "stem_width": 16}
    return PRESETS[preset].adapt(**own | knobs)


def job(config: Config, recipe: Recipe, images: int) -> Job:
    return Job(config, "shapes", recipe, images=images)
