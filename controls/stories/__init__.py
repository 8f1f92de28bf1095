"""Guided stories, found by looking: a new story is a new file here with a `STORY` in it.

Its name in the link is the file's.
"""

import importlib
import pkgutil
from collections.abc import Mapping

from controls.stories.story import Step, Story


def _discover() -> dict[str, Story]:
    names = [found.name for found in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: module.STORY for name, module in modules.items() if hasattr(module, "STORY")}


STORIES: Mapping[str, Story] = _discover()

__all__ = ["STORIES", "Step", "Story"]
