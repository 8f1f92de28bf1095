"""What the owner of a server may set: where data sets, runs and uploads lie, and how much is done at once."""

import os
from pathlib import Path
from typing import NamedTuple

from platformdirs import user_data_path

from explorer.counting.budget import SettingError, limits, setting

APP = "skip-connection-explorer"
DATA = "EXPLORER_DATA"
RUNS = "EXPLORER_RUNS"
UPLOADS = "EXPLORER_UPLOADS"
WORKERS = "EXPLORER_WORKERS"
PROCESSES = "EXPLORER_PROCESSES"
MOST_UPLOADS = "EXPLORER_MAX_UPLOADS"
RAY = "EXPLORER_RAY"
TRAINING = "EXPLORER_TRAINING"
MOST_RUNS, MOST_MINUTES, MOST_DISK = "EXPLORER_MAX_RUNS", "EXPLORER_MAX_RUN_MINUTES", "EXPLORER_MAX_RUN_DISK"

# on a server that others reach, unless its owner says otherwise
SHARED_RUNS, SHARED_MINUTES, SHARED_DISK = 5, 30, 10**9


def data_folder() -> Path:
    """Of downloaded and imported data sets: EXPLORER_DATA, or a folder of this program's among the user's own."""
    return _chosen(DATA, "data")


def runs_folder() -> Path:
    """Of runs, each of which is a folder in it: EXPLORER_RUNS, or one beside that of the data."""
    return _chosen(RUNS, "runs")


def uploads_folder() -> Path:
    """Of what visitors send: EXPLORER_UPLOADS, or a hidden one in that of the runs."""
    return _chosen(UPLOADS, "") if os.environ.get(UPLOADS, "").strip() else runs_folder() / ".uploads"


def _chosen(setting: str, usual: str) -> Path:
    """Read anew at each call; nothing is made here."""
    text = os.environ.get(setting, "").strip()
    return Path(text).expanduser().absolute() if text else user_data_path(APP, appauthor=False) / usual


def made(folder: Path) -> Path:
    """The folder, made if it is not there, as are those above it, for its owner alone (0700). Raises OSError."""
    for place in reversed((folder, *folder.parents)):
        if not place.is_dir():
            place.mkdir(mode=0o700, exist_ok=True)  # which two processes may do at once
    return folder


class Allowed(NamedTuple):
    """What visitors may train. `runs` are those that one of them may have, `seconds` of training each may take, and
    `disk` the bytes that all of one visitor's may take; 0 is no limit. `shared`: each sees the runs of their own, and
    those whose link they have; else there is one visitor, who sees all.
    """

    training: bool
    shared: bool
    runs: int
    seconds: int
    disk: int


def allowed(only_this_machine: bool) -> Allowed:
    """EXPLORER_TRAINING is `off`, `mine` (whoever reaches the server sees every run), or `shared`; it is `mine` for a
    server that only its own machine reaches, else `shared`. On a shared one, runs are limited as far as the
    settings say nothing else.

    Raises SettingError for what makes no sense.
    """
    text = os.environ.get(TRAINING, "").strip().lower() or ("mine" if only_this_machine else "shared")
    if text not in ("off", "mine", "shared"):
        raise SettingError(f"{TRAINING}={text!r} is not one of off, mine, shared.")
    shared = text == "shared"
    return Allowed(
        text != "off",
        shared,
        _whole(MOST_RUNS) or (SHARED_RUNS if shared else 0),
        60 * (_whole(MOST_MINUTES) or (SHARED_MINUTES if shared else 0)),
        setting(MOST_DISK) or (SHARED_DISK if shared else 0),
    )


def most_workers() -> int:
    """How many runs may be trained at once on this machine: EXPLORER_WORKERS, or one for two cores."""
    return _whole(WORKERS) or max(1, (os.cpu_count() or 1) // 2)


def most_processes() -> int | None:
    """Visitors whose heavy work goes on at once, by EXPLORER_PROCESSES; None where it is not set."""
    return _whole(PROCESSES, least=0) if os.environ.get(PROCESSES, "").strip() else None


def check() -> None:
    """To be asked before a server starts. Raises SettingError for the first setting that makes no sense."""
    limits()
    setting(MOST_UPLOADS)
    allowed(only_this_machine=True)
    most_workers()
    most_processes()


def ray() -> str:
    """Where sweeps may be trained beside this machine: the address of a Ray cluster, or `local` for one that is started
    here; "" for nowhere.
    """
    return os.environ.get(RAY, "").strip()


def _whole(setting: str, least: int = 1) -> int:
    """0 where it is not set. Raises SettingError for what is no whole number, or less than the least."""
    text = os.environ.get(setting, "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        above = f" above {least - 1}" if least else ""
        raise SettingError(f"{setting}={text!r} is not a whole number{above}.")
    return int(text or 0)
