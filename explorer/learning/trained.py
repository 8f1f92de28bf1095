"""The weights of runs, as pages use them beside all others: those of a run's last checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from explorer.families import Config, plan
from explorer.learning import checkpoint, runs
from explorer.learning.runs import Run, RunError
from explorer.running.checkpoints import OnDisk, on_disk
from explorer.running.weights import Weights, WeightsError


def fits(run: Run, config: Config) -> bool:
    """Whether it trains this very network."""
    own = run.job.config
    return own == config or (own.family == config.family and plan(own).ops == plan(config).ops)


def linked(name: str, config: Config) -> Weights | None:
    """The weights of a run for this network, by a name from a link; None where there are none."""
    with suppress(RunError):
        run = runs.read(runs.named(name))
        if fits(run, config):
            return checkpoint.weights_of(run)
    return None


def newest(weights: Weights) -> Weights:
    """The weights of the same run's last checkpoint, or the same where that is gone."""
    with suppress(RunError):
        return checkpoint.weights_of(run_of(weights))
    return weights


@contextmanager
def opened(weights: Weights) -> Iterator[OnDisk]:
    """The file. Raises WeightsError where it is gone, or has learned further."""
    try:
        run = run_of(weights)
        if checkpoint.weights_of(run).identity != weights.identity:
            raise WeightsError(f"{weights.name}: the run has learned further since; load the page anew.")
    except RunError as error:
        raise WeightsError(str(error)) from None
    with on_disk(run.path / runs.CHECKPOINT) as data:
        yield data


def run_of(weights: Weights) -> Run:
    """Raises RunError where it is gone."""
    return runs.read(runs.named(weights.identity.partition(".")[0]))
