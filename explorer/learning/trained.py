"""The weights of runs, as pages use them beside all others: those of a run's last checkpoint."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from explorer.families import Config, same_network
from explorer.learning import checkpoint, runs
from explorer.learning.runs import Run, RunError
from explorer.running.checkpoints import OnDisk
from explorer.running.weights import Weights, WeightsError


def fits(run: Run, config: Config) -> bool:
    """Whether it trains this very network."""
    return same_network(run.job.config, config)


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
    with ExitStack() as until_read:
        try:
            run = run_of(weights)
            data, written = until_read.enter_context(checkpoint.opened(run))
        except RunError as error:
            raise WeightsError(str(error)) from None
        # of the open file, since the worker may put another in its place at any time
        if checkpoint.weights_of(run, written).identity != weights.identity:
            raise WeightsError(f"{weights.name}: the run has learned further since; load the page anew.")
        yield data


def run_of(weights: Weights) -> Run:
    """Raises RunError where it is gone."""
    return runs.read(runs.named(weights.identity.partition(".")[0]))
