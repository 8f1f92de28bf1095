"""How fast would jobs learn on this machine? Asked of a process of its own, whose first steps are measured."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from explorer.learning.job import Job
from explorer.learning.starting import PACKAGES, environment

LONGEST = 60.0  # seconds that measuring one may take


def images_per_second(jobs: Sequence[Job]) -> list[float]:
    """Of training, for each that could be measured before one could not. Raises OSError."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "explorer.learning.measuring"],
            input="".join(job.to_json().replace("\n", " ") + "\n" for job in jobs),
            capture_output=True,
            text=True,
            timeout=LONGEST * len(jobs),
            cwd=PACKAGES,
            env=environment(),
        ).stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
        done = said.decode(errors="replace") if isinstance(said, bytes) else said  # bytes, though text is asked for
    found = []
    for line in done.splitlines():
        with suppress(ValueError):  # what some library has to say
            found.append(float(line))
    return found[: len(jobs)]
