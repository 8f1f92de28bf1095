"""From which data set have weights learned, as far as that is known here?"""

from contextlib import suppress

from explorer.errors import ExplorerError
from explorer.learning import trained
from explorer.running import project_weights
from explorer.running.weights import Weights


def learned_from(weights: Weights) -> str:
    """The data set's name; "" where it is not one of those here."""
    with suppress(ExplorerError):
        if weights.source == "project":
            return project_weights.about(weights).about.data
        if weights.source == "run":
            return trained.run_of(weights).job.data
    return ""
