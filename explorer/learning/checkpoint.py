"""The weights of a run and the optimizer's state beside them: written so that one belongs to the other, and read."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
from torch import Tensor

from explorer.learning import recipe as recipes
from explorer.learning import runs
from explorer.learning.endings import Diverged
from explorer.learning.runs import CHECKPOINT, OPTIMIZER, Run, RunError
from explorer.learning.training import Training
from explorer.running import checkpoints, weights
from explorer.running.card import Card, to_metadata
from explorer.running.checkpoints import OnDisk, Stored, on_disk
from explorer.running.weights import Weights
from explorer.wording import clean

MOST_TENSORS = 20_000  # bounds what a table of contents may weigh
NUMBER = re.compile("[0-9]{1,12}")  # of a step
STEP = "explorer.step"  # in the metadata of the weights' file


class Written(NamedTuple):
    """What a file of weights says of itself: how many steps it learned, and the card."""

    step: int
    card: Card


def write(run: Run, training: Training, card: Card) -> None:
    """Keep how far a training has come. Raises OSError, and Diverged for weights that are not finite; the checkpoint
    before this one stays then.

    The optimizer's state goes to a file that is named by its step, and the weights, which say their step, are put in
    place after it: whenever this is cut short, weights and state of one and the same step are there.
    """
    tensors = _copied(training.network.state_dict())
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        rate = recipes.rate(training.recipe, training.done - 1, training.steps)
        raise Diverged(
            f"At step {training.done} of {training.steps}, with learning rate {rate:.3g}, a weight became no number."
        )
    metadata = {
        "format": "pt",
        STEP: str(training.done),
        **to_metadata(card, run.job.config),
    }
    state = safetensors.torch.save(_copied(training.state()), {"format": "pt", STEP: str(training.done)})
    runs.write_whole(run.path / f"optimizer-{training.done}.safetensors", state)
    runs.write_whole(run.path / CHECKPOINT, safetensors.torch.save(tensors, metadata))
    _forget_states_but(run.path, training.done)


def restore(run: Run, training: Training) -> None:
    """Go on from the run's checkpoint, if it has one. Raises RunError for one that is damaged or another network's."""
    path = run.path / CHECKPOINT
    if not path.exists():
        return
    try:
        step = read(run).step
        with on_disk(path) as data:
            state = weights.read_checkpoint(data, CHECKPOINT, training.network.state_dict())
        training.network.load_state_dict(state)
        with on_disk(run.path / f"optimizer-{step}.safetensors") as data:
            found = checkpoints.contents(data, MOST_TENSORS)
            training.restore(step, {key: one.tensor() for key, one in found.items() if isinstance(one, Stored)})
        _forget_states_but(run.path, step)  # of which a worker that was killed has left one
    except RunError:
        raise
    except Exception as error:  # a damaged file can fail anywhere
        raise RunError(
            f"{run.title} cannot go on from its checkpoint ({type(error).__name__}: {clean(str(error), 200)}); "
            "start another run, or delete its checkpoint."
        ) from error


def read(run: Run) -> Written:
    """What the run's checkpoint says of itself. Raises RunError where there is none that can be read."""
    with opened(run) as (_, written):
        return written


@contextmanager
def opened(run: Run) -> Iterator[tuple[OnDisk, Written]]:
    """The weights' file, and what it says of itself. Raises RunError where there is none that can be read."""
    with ExitStack() as until_read:
        try:
            data = until_read.enter_context(on_disk(run.path / CHECKPOINT))
            written = _written(data, run)
        except FileNotFoundError:
            raise RunError(f"{run.title} has no checkpoint yet.") from None
        except Exception as error:  # a damaged file can fail anywhere
            raise RunError(f"The checkpoint of {run.title} cannot be read ({type(error).__name__}).") from None
        yield data, written


def _written(data: OnDisk, run: Run) -> Written:
    step = checkpoints.metadata(data, MOST_TENSORS)[STEP]
    if not isinstance(step, str) or not NUMBER.fullmatch(step):
        raise ValueError("not the number of a step")
    return Written(int(step), weights.read_card(data, run.job.config.input_size, MOST_TENSORS))


def weights_of(run: Run, written: Written | None = None) -> Weights:
    """The weights of its last checkpoint, another value at each of them. Raises RunError where there is none."""
    found = written or read(run)
    said = f"{run.title}, step {found.step}"
    return Weights("run", f"{run.name}.{found.step}", said, found.card)


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu").contiguous().clone() for name, value in tensors.items()}


def _forget_states_but(folder: Path, step: int) -> None:
    for path in folder.iterdir():
        if (found := OPTIMIZER.fullmatch(path.name)) and int(found[1]) != step:
            with suppress(OSError):
                path.unlink()
