"""Where do a sweep's trials lie, and which trial has this name?

    RUNS/.sweeps/growth-rates-abcdefghijklmnop/trials/004/t421-abcdefghijklmnop

A trial is an ordinary run. Its name ends with the letters of its sweep, so that a link finds it, and nobody guesses it;
a hundred lie in a folder, so that no folder of a large sweep is slow to read.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from explorer.learning.settings import runs_folder

SWEEPS = ".sweeps"  # in the runs' folder
TRIALS = "trials"
IN_A_FOLDER = 100
TRIAL = re.compile(r"t(\d{1,6})-([a-z2-7]{16})")


def sweeps_folder() -> Path:
    return runs_folder() / SWEEPS


def path_of(sweep: Path, number: int) -> Path:
    """Of a trial of the sweep in that directory."""
    letters = sweep.name.rpartition("-")[2]
    return sweep / TRIALS / f"{number // IN_A_FOLDER:03d}" / f"t{number}-{letters}"


def begun(sweep: Path) -> frozenset[int]:
    """The trials of the sweep in that directory that have a directory; none of their files is looked at."""
    found: set[int] = set()
    with suppress(OSError), os.scandir(sweep / TRIALS) as folders:
        for folder in folders:
            with suppress(OSError), os.scandir(folder.path) as entries:
                found.update(number for entry in entries if (number := number_of(entry.name)) is not None)
    return frozenset(found)


def number_of(name: str) -> int | None:
    """The trial's number; None for a run that is no trial."""
    found = TRIAL.fullmatch(name)
    return int(found[1]) if found else None


def find(name: str) -> Path | None:
    """The directory of a trial, by a name that may come from a link; None where there is none."""
    found = TRIAL.fullmatch(name)
    if not found:
        return None
    with suppress(OSError), os.scandir(sweeps_folder()) as entries:
        for entry in entries:
            if entry.name.endswith(f"-{found[2]}") and entry.is_dir(follow_symlinks=False):
                path = path_of(Path(entry.path), int(found[1]))
                return path if path.name == name and path.is_dir() and not path.is_symlink() else None
    return None
