"""The literature's claims, put to the test: every experiment, found by looking in `claims`."""

import importlib
import pkgutil
from collections.abc import Mapping

from explorer.experiments import claims
from explorer.experiments.experiment import Experiment

__all__ = ["EXPERIMENTS", "Experiment"]


def _discover() -> dict[str, Experiment]:
    modules = [
        importlib.import_module(f"{claims.__name__}.{found.name}") for found in pkgutil.iter_modules(claims.__path__)
    ]
    return {module.EXPERIMENT.name: module.EXPERIMENT for module in sorted(modules, key=lambda one: int(one.PLACE))}


EXPERIMENTS: Mapping[str, Experiment] = _discover()
