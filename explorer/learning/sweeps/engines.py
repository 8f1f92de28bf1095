"""Where is a sweep trained? Each way by the word that the command's --on, and the page, know it under."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from explorer.learning.side_by_side import usual_processes
from explorer.learning.sweeps.engine import Engine
from explorer.learning.sweeps.on_this_machine import OnThisMachine
from explorer.learning.sweeps.sweep import Sweep, SweepError
from explorer.wording import clean

HERE, RAY = "processes", "ray"


@dataclass(frozen=True)
class Where:
    """`processes` of this machine, 0 for as many as it has cores for; or on Ray: at an `address`, "" for a cluster that
    is started here; with `gpus` of a card for a trial that is trained on one; and with the runs kept at a `storage`,
    "" where all nodes share the runs' folder.
    """

    on: str = HERE
    processes: int = 0
    address: str = ""
    storage: str = ""
    gpus: float = 1.0

    def __post_init__(self) -> None:
        """Raises SweepError."""
        if self.on not in ENGINES:
            raise SweepError(f"There is no {clean(self.on)!r} to train on; there are {', '.join(ENGINES)}")
        if not (self.processes >= 0 and 0 < self.gpus <= 64):
            raise SweepError(f"processes={self.processes}, gpus={self.gpus:g}: choose none below 0, and some of a card")


def threads(sweep: Sweep) -> int:
    """Of the trial that has most."""
    return max(part.job.threads for part in sweep.parts)


def device(sweep: Sweep) -> str:
    """A card, where any trial is trained on one."""
    return next((part.job.device for part in sweep.parts if part.job.device != "cpu"), "cpu")


def processes(sweep: Sweep, where: Where, in_line: bool) -> int:
    """How many trials are trained side by side on this machine."""
    return where.processes or usual_processes(device(sweep), in_line, threads(sweep))


def _here(sweep: Sweep, where: Where, in_line: bool) -> Engine:
    return OnThisMachine(processes(sweep, where, in_line))


def _ray(sweep: Sweep, where: Where, in_line: bool) -> Engine:
    from explorer.learning.sweeps.on_ray import OnRay

    return OnRay(where.address, threads(sweep), where.gpus if device(sweep) != "cpu" else 0.0, where.storage)


ENGINES: Mapping[str, Callable[[Sweep, Where, bool], Engine]] = MappingProxyType({HERE: _here, RAY: _ray})

ON_PROCESSES = Where()


def start(sweep: Sweep, where: Where, in_line: bool = False) -> Engine:
    """Raises SweepError."""
    return ENGINES[where.on](sweep, where, in_line)
