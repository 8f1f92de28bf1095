"""Brings into an environment what a file of requirements names: `python install.py .venv requirements.txt`.

For the Makefile, so that nobody waits without a word: it says beforehand what comes and how much of it, lets pip show
how far it is, and in the end, if it broke off, why, in one sentence. Whatever broke off is done again from the start,
in a new environment, since one that is half written cannot be told from a whole one; what pip had downloaded by then
stays in its cache. Standard library only, and no newer Python than it takes to say which one is needed.
"""

from __future__ import annotations  # for the Pythons that are only told that they are too old

import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path

OLDEST = 3, 11
DOWNLOAD, DISK = 3.2, 6.5  # GB, as measured on Linux on x86-64, whose PyTorch brings CUDA's libraries
PIP = "pip>=25.1"  # which shows how far it is while it installs, too

CAUSES = {  # what pip says on stderr -> what it means
    "No space left on device": "the disk is full",
    "Disk quota exceeded": "the disk quota is used up",
    "Failed to establish a new connection": "the package index cannot be reached",
    "Name or service not known": "the package index cannot be reached",
    "Temporary failure in name resolution": "the package index cannot be reached",
    "Cannot connect to proxy": "the proxy cannot be reached",
    "Read timed out": "the package index does not answer",
    "Connection broken": "the connection broke",
    "Permission denied": "a file may not be written",
}


class BrokenOff(Exception):
    """Why, in words that go on a sentence."""


def install(folder: Path, requirements: Path) -> None:
    """Raises BrokenOff."""
    unfinished = folder / "unfinished"
    if unfinished.exists():
        print(f"{folder} was not finished and is made anew.")
        remove(folder)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    fresh = not python.exists()
    announce(folder, requirements, fresh)
    folder.mkdir(exist_ok=True)
    unfinished.touch()
    if fresh:
        run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    if fresh:
        run([*pip, "--quiet", "--upgrade", PIP])
    run([*pip, "--requirement", str(requirements)])
    unfinished.unlink()


def announce(folder: Path, requirements: Path, fresh: bool) -> None:
    """What will be done, and what it takes."""
    print(f"Installing into {folder} what {requirements} names.")
    if fresh:
        free = shutil.disk_usage(folder.parent).free / 1e9
        much = f"up to {DOWNLOAD:g} GB to download and {DISK:g} GB on disk, where {free:,.0f} GB are free"
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            much += " (less where PyTorch brings no CUDA)"
        fast, slow = (DOWNLOAD * 1000 / speed / 60 + 1.5 for speed in (50, 5))  # and to write it
        print(f"PyTorch is most of it: {much}.")
        print(
            f"It takes about {fast:.0f} minutes at 50 MB/s and {slow:.0f} at 5 MB/s, and less once pip has it cached."
        )
    sys.stdout.flush()


def run(command: list[str]) -> None:
    """With what it prints as it comes, on a terminal with its progress. Raises BrokenOff."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, universal_newlines=True, errors="replace")
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())  # of make alone; a Ctrl-C reaches both
    said = []
    try:
        for line in process.stderr or ():
            sys.stderr.write(line)
            said.append(line)
    except KeyboardInterrupt:
        raise BrokenOff("it was interrupted") from None
    finally:
        process.wait()
    if process.returncode < 0:
        raise BrokenOff("it was interrupted")
    if process.returncode:
        meant = (cause for words, cause in CAUSES.items() if any(words in line for line in said))
        raise BrokenOff(next(meant, "the lines above say why"))


def remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def main() -> int:
    if sys.version_info < OLDEST:
        needed, found = ".".join(map(str, OLDEST)), platform.python_version()
        print(
            f"Python {needed} or newer is needed, and this is {found}: make run PYTHON=/path/to/python.",
            file=sys.stderr,
        )
        return 1
    folder, requirements = map(Path, sys.argv[1:])
    try:
        install(folder, requirements)
    except (BrokenOff, OSError, KeyboardInterrupt) as error:
        why = str(error) or "it was interrupted"
        print(f"\nThe installation broke off: {why}. The next `make` starts it again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
