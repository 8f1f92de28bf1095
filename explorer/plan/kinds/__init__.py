"""Every kind of operation, found by looking: a new kind is a new file here with `KINDS` in it, and one of the same
name in `explorer.running.kinds` that says how it runs.
"""

import importlib
import pkgutil
from collections.abc import Mapping

from explorer.plan.kinds.kind import Kind

_files = [importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
KINDS: Mapping[str, Kind] = {kind.name: kind for file in _files for kind in getattr(file, "KINDS", ())}

__all__ = ["KINDS", "Kind"]
