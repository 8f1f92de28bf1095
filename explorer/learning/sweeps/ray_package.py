"""Ray, which is imported only where somebody asks for what it does."""

import importlib
from typing import Any

from explorer.learning.sweeps.sweep import SweepError
from explorer.wording import clean

NOT_INSTALLED = "Ray is not installed: pip install -r requirements-ray.txt"


def imported(module: str = "ray") -> Any:
    """The module of that name. Raises SweepError where Ray is not installed, or not as it should be."""
    try:
        importlib.import_module("ray")
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == "ray":
            raise SweepError(NOT_INSTALLED) from None
        raise SweepError(f"Ray lacks {clean(error.name or str(error))}: pip install -r requirements-ray.txt") from None
    except ImportError as error:
        raise SweepError(f"Ray cannot be imported ({clean(str(error), 200)})") from None
