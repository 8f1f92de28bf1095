"""How fast would jobs learn on this machine? Asked of a process of its own, whose first steps are measured."""

import subprocess
import sys
from collections.abc import Sequence

from explorer.learning.job import Job
from explorer.learning.starting import PACKAGES, environment

LONGEST = 60.0  # seconds that measuring one may take


def images_per_second(jobs: Sequence[Job]) -> list[float]:
    """Of training, for each that could be measured before one could not. Raises OSError."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "explorer.learning.measuring"],
            input="".join(f"{job.to_json()}\n".replace("\n", " ").rstrip() + "\n" for job in jobs),
            capture_output=True,
            text=True,
            timeout=LONGEST * len(jobs),
            cwd=PACKAGES,
            env=environment(),
        ).stdout
    except subprocess.TimeoutExpired as late:
        done = (late.stdout or b"").decode() if isinstance(late.stdout, bytes | None) else late.stdout
    return [float(line) for line in done.splitlines()[: len(jobs)]]
