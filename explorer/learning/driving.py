"""A process that has several runs trained, for the directory of what they are part of: alone, in line, with a sign of
life every second, stopped as a run is, and with a sentence about how it ended.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from explorer.errors import ExplorerError
from explorer.learning import line
from explorer.learning.endings import Stopped
from explorer.learning.runs import LOCK, STOP, RunError, State
from explorer.learning.worker import Pulse

Say = Callable[[str], None]
Stop = Callable[[], None]  # raises Stopped where somebody has asked for it


def drive(path: Path, work: Callable[[Pulse, Stop], str], say: Say, in_line: bool, resumed_by: str) -> State:
    """How the `work` ended, which is given how to say how far it is, and returns a sentence; what went wrong is said in
    the directory's status too. `resumed_by` is the command that goes on after a Ctrl-C.

    With `in_line` it waits for one of the machine's places. Raises RunError where another process does it.
    """
    with _alone(path), Pulse(path) as pulse:
        state, message = _driven(path, work, pulse, in_line, resumed_by)
        pulse.say(state=state, message=message, seconds_left=0.0)
        say(message or f"{path.name}: {state}.")
        return state


def _driven(
    path: Path, work: Callable[[Pulse, Stop], str], pulse: Pulse, in_line: bool, resumed_by: str
) -> tuple[State, str]:
    def stop() -> None:
        if (path / STOP).exists():
            raise Stopped("What has ended stays, and Resume goes on from there.")

    def waiting(place: int) -> None:
        stop()
        pulse.wait_in_line(place)

    try:
        with line.turn(path.name, waiting) if in_line else nullcontext():
            pulse.say(state="training", message="")
            return "finished", work(pulse, stop)
    except Stopped as reason:
        return "stopped", str(reason)
    except KeyboardInterrupt:
        return "stopped", f"Stopped by Ctrl-C; {resumed_by} goes on."
    except ExplorerError as error:
        return "failed", str(error)
    except OSError as error:
        return "failed", f"It cannot be written ({error.strerror or error})."


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RunError("It is being carried out already.") from None
    except OSError as error:
        raise RunError(f"Its directory is not to be written ({error.strerror or error}).") from None
    try:
        yield
    finally:
        lock.release()
