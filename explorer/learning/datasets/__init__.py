"""Every data set, found by looking: a new one is a new file here with a `SOURCE` in it, or several `SOURCES`."""

import importlib
import pkgutil
from collections.abc import Mapping

from explorer.learning.datasets.dataset import DataError, Dataset, Example, Progress, Source, Split
from explorer.learning.datasets.imported import NAME as IMPORTED
from explorer.learning.datasets.imported import find as find_imported
from explorer.wording import clean

FIRST = ("shapes", "digits")  # those that need no download


def _discover() -> dict[str, Source]:
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    sources: list[Source] = []
    for module in modules:
        sources += [module.SOURCE] if hasattr(module, "SOURCE") else getattr(module, "SOURCES", ())
    _refuse_twins([source.name for source in sources])
    sources.sort(key=lambda source: FIRST.index(source.name) if source.name in FIRST else len(FIRST))
    return {source.name: source for source in sources}


def _refuse_twins(names: list[str]) -> None:
    """One of two that share a name would vanish in silence."""
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise ImportError(f"two data sets are named {', '.join(twins)}; a name must be one data set's own")


SOURCES: Mapping[str, Source] = _discover()


def find(name: str) -> Source:
    """The data set of this name, imported ones among them. Raises DataError for one that there is not."""
    if name in SOURCES:
        return SOURCES[name]
    if IMPORTED.fullmatch(name):
        return find_imported(name)
    raise DataError(f"There is no data set {clean(name)!r}; choose one of {', '.join(SOURCES)}.")


__all__ = ["SOURCES", "DataError", "Dataset", "Example", "Progress", "Source", "Split", "find"]
