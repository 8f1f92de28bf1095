"""What the library refuses has one base class, by which the app and the command line know it."""

import pkgutil
from importlib import import_module
from inspect import getmembers, isclass

import explorer
from explorer.errors import ExplorerError

# raised and caught inside one room, never seen outside it
INNER = {
    "explorer.learning.datasets.picture_files.Refused",
    "explorer.learning.endings.Diverged",
    "explorer.learning.endings.Stopped",
    "explorer.learning.sweeps.ray_task.Interrupted",
    "explorer.pictures.decoding.Refusal",
    "explorer.running.checkpoints.Refused",
    "explorer.running.downloading.DownloadError",
}


def test_every_error_of_the_library_has_the_same_base():
    modules = [found.name for found in pkgutil.walk_packages(explorer.__path__, "explorer.")]
    found = {
        f"{error.__module__}.{error.__qualname__}": error
        for module in modules
        for _, error in getmembers(import_module(module), isclass)
        if issubclass(error, Exception) and error.__module__.startswith("explorer.")
    }
    assert {"explorer.families.knobs.ConfigError", "explorer.running.weights.WeightsError", *INNER} <= found.keys()
    strangers = {name for name, error in found.items() if not issubclass(error, ExplorerError)}
    assert strangers == INNER
