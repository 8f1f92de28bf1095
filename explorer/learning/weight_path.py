"""The way of a run's weights: some of them kept evenly over the run, to be looked at later.

path/0.safetensors, path/42.safetensors, ...     a state dict each, by how many steps were behind it
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import safetensors.torch
from torch import Tensor

from explorer.learning import runs
from explorer.learning.job import Job
from explorer.learning.runs import Run, RunError
from explorer.learning.training import Training
from explorer.plan import Plan
from explorer.running import weights
from explorer.running.checkpoints import on_disk
from explorer.running.weights import WeightsError
from explorer.wording import gigabytes

FOLDER = "path"
FILE = re.compile(r"(\d{1,12})\.safetensors")
MOST_BYTES = 200_000_000
BYTES = 4  # of a weight


def check(job: Job, plan: Plan) -> None:
    """Raises RunError for a path that would take too much of the disk."""
    each = BYTES * plan.params
    if job.keep_path * each > MOST_BYTES:
        fit = MOST_BYTES // each
        raise RunError(
            f"keep_path={job.keep_path}: so many times the weights would take {gigabytes(job.keep_path * each)}, and "
            f"{gigabytes(MOST_BYTES)} is the most; keep {f'at most {fit}' if fit else 'none'}."
        )


def wanted(steps: int, count: int) -> frozenset[int]:
    """Behind how many of a run's steps weights are kept: evenly, from none on. The last ones are its checkpoint."""
    return frozenset(round(i * steps / count) for i in range(count)) - {steps}


class Keeping:
    """Writes them down, as far as they are wanted. What another length of the run wanted, or a worker that came
    further before it died, is taken away: after a resume there is what there would be without.
    """

    def __init__(self, run: Run, training: Training) -> None:
        self._folder, self._training = run.path / FOLDER, training
        self._wanted = wanted(training.steps, run.job.keep_path)
        for step, path in _files(run).items():
            if step > training.done or step not in self._wanted:
                with suppress(OSError):
                    path.unlink()

    def keep(self) -> None:
        """The weights as they are now, if now is when. Raises OSError."""
        if self._training.done not in self._wanted:
            return
        state = self._training.network.state_dict()
        tensors = {name: value.detach().to("cpu").contiguous().clone() for name, value in state.items()}
        if all(bool(value.isfinite().all()) for value in tensors.values()):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            data = safetensors.torch.save(tensors, {"format": "pt"})
            runs.write_whole(self._folder / f"{self._training.done}.safetensors", data, lasting=False)


def steps(run: Run) -> tuple[int, ...]:
    """Behind how many steps weights were kept, in order."""
    return tuple(sorted(_files(run)))


def read(run: Run, expected: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The state dicts in order; `expected` is the network's. Raises RunError for what cannot be read."""
    found = []
    for _, path in sorted(_files(run).items()):
        try:
            with on_disk(path) as data:
                found.append(weights.read_checkpoint(data, path.name, expected))
        except (OSError, WeightsError) as error:
            raise RunError(f"The path of {run.title} cannot be read: {error}") from None
    return found


def _files(run: Run) -> dict[int, Path]:
    found: dict[int, Path] = {}
    with suppress(OSError):
        for path in (run.path / FOLDER).iterdir():
            if (name := FILE.fullmatch(path.name)) and not path.is_symlink():
                found[int(name[1])] = path
    return found
