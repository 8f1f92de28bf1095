"""How every kind of operation runs: a file for each of `explorer.plan.kinds`, found by looking."""

import importlib
import pkgutil
from collections.abc import Mapping

from explorer.plan.kinds import KINDS
from explorer.running.kinds.running import Running

_files = [importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
RUNNING: Mapping[str, Running] = {how.kind: how for file in _files for how in getattr(file, "RUNNING", ())}

_unanswered = KINDS.keys() ^ {"input", *RUNNING}
if _unanswered:
    raise TypeError(f"explorer.plan.kinds and explorer.running.kinds differ in {', '.join(sorted(_unanswered))}")

__all__ = ["RUNNING", "Running"]
