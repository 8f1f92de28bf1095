"""Ray, which is imported only where somebody asks for what it does."""

import importlib
import os
from typing import Any

from explorer.learning.sweeps.sweep import SweepError
from explorer.wording import clean

SETTINGS = {
    "RAY_ENABLE_AUTO_CONNECT": "0",  # to whatever cluster there is, once the one that was asked for is lost
    "RAY_task_oom_retries": "3",  # of a task that its node lacks memory for; without it, for ever
}
NOT_INSTALLED = "Ray is not installed: pip install -r requirements-ray.txt"


def imported(module: str = "ray") -> Any:
    """The module of that name. Raises SweepError where Ray is not installed, or not as it should be."""
    for setting, value in SETTINGS.items():  # which Ray reads while it is imported
        os.environ.setdefault(setting, value)
    try:
        importlib.import_module("ray")
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == "ray":
            raise SweepError(NOT_INSTALLED) from None
        raise SweepError(f"Ray lacks {clean(error.name or str(error))}: pip install -r requirements-ray.txt") from None
    except ImportError as error:
        raise SweepError(f"Ray cannot be imported ({clean(str(error), 200)})") from None
