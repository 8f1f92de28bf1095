"""May this network be built here? Limits come from the machine's free memory, or from environment variables."""

import ctypes
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from explorer.counting.memory import forward_bytes
from explorer.errors import ExplorerError
from explorer.plan import Plan
from explorer.wording import gigabytes

MOST_OPERATIONS = 20_000
SHARE = 0.5  # of the free memory that one visitor's network may take


class BudgetError(ExplorerError):
    """A network that is larger than this machine should hold, with the estimate and the limit."""


class SettingError(ExplorerError):
    """What the owner of a server has set makes no sense; names the variable."""


class Limits(NamedTuple):
    operations: int
    params: int
    memory: int  # bytes, for weights and activations together


def limits(free: int | None = None) -> Limits:
    """`free` is the device's free memory in bytes; None: this machine's.

    EXPLORER_MAX_OPERATIONS, EXPLORER_MAX_PARAMS and EXPLORER_MAX_MEMORY (bytes, or 512MB, 4GB) come first. Memory is
    shared out among the servers of this machine. Raises SettingError for one that is not a number.
    """
    memory = setting("EXPLORER_MAX_MEMORY") or int(SHARE * (free_memory() if free is None else free))
    memory //= servers()
    return Limits(
        operations=setting("EXPLORER_MAX_OPERATIONS") or MOST_OPERATIONS,
        params=setting("EXPLORER_MAX_PARAMS") or memory // 4,
        memory=memory,
    )


def check(plan: Plan, batch: int = 1, limit: Limits | None = None) -> None:
    """Raises BudgetError where a forward pass on `batch` images would exceed a limit. Allocates nothing."""
    limit = limit or limits()
    if len(plan.ops) > limit.operations:
        raise BudgetError(f"This network has {len(plan.ops):,} operations; the limit is {limit.operations:,}.")
    if plan.params > limit.params:
        raise BudgetError(f"This network has {plan.params:,} parameters; the limit is {limit.params:,}.")
    needed = forward_bytes(plan, batch)
    if needed > limit.memory:
        images = "one image" if batch == 1 else f"{batch} images"
        fits = fitting_batch(plan, limit)
        way_out = f"{fits} would fit" if fits else "use a smaller input or fewer channels"
        raise BudgetError(
            f"A forward pass on {images} would take about {gigabytes(needed)}; "
            f"the limit is {gigabytes(limit.memory)}: {way_out}."
        )


def fitting_batch(plan: Plan, limit: Limits) -> int:
    """The most images whose forward pass stays under the memory limit; 0 where none does."""
    one, two = forward_bytes(plan, 1), forward_bytes(plan, 2)
    return max(0, (limit.memory - one) // (two - one) + 1) if one <= limit.memory else 0


def check_batch(what: str, batch: int, needed: Callable[[int], int], limit: Limits) -> None:
    """Raises BudgetError where `what` on `batch` images, for which it takes `needed(batch)` bytes, would exceed the
    memory limit; the sentence says how many images would fit."""
    if needed(batch) > limit.memory:
        fits = next((count for count in range(batch, 0, -1) if needed(count) <= limit.memory), 0)
        way_out = f"a batch of {fits} would fit" if fits else "use a smaller input"
        raise BudgetError(
            f"{what} on {batch} images would take about {gigabytes(needed(batch))}; the limit is "
            f"{gigabytes(limit.memory)}: {way_out}."
        )


def free_memory() -> int:
    """Bytes that this process may still take: the machine's, or its container's where that is less."""
    free: int = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    try:
        most = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return free if most == "max" else min(free, max(0, int(most) - used))


def give_back_freed_memory() -> None:
    """To the system, where the C library keeps what this process has freed; it costs time to take it anew."""
    if os.name == "posix" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


FRESH = 1.0  # seconds
MOST_ANSWERS = 32
_answers: dict[tuple[Callable[..., int], tuple[Any, ...]], tuple[float, int]] = {}
_asking = threading.Lock()


def lately(ask: Callable[..., int], *about: Any) -> int:
    """What `ask(*about)` has answered within the last second: to say how much memory is free, which takes the system a
    millisecond or more, in every run of a page. Whoever waits for memory asks anew.
    """
    with _asking:
        asked, answer = _answers.get((ask, about), (-FRESH, 0))
        if time.monotonic() - asked >= FRESH:
            if len(_answers) >= MOST_ANSWERS:
                _answers.clear()
            answer = ask(*about)
            _answers[ask, about] = time.monotonic(), answer
        return answer


def servers() -> int:
    """How many servers of the app share this machine, as EXPLORER_SERVERS says; `make serve` sets it."""
    return setting("EXPLORER_SERVERS") or 1


NUMBER = re.compile(r"([0-9]{1,30}(?:\.[0-9]+)?)(MB|GB)?")
FACTORS = {"MB": 10**6, "GB": 10**9, None: 1}


def setting(name: str) -> int:
    """The variable's number; 0 where it is not set. Raises SettingError."""
    text = os.environ.get(name, "")
    if not text.strip():
        return 0
    found = NUMBER.fullmatch("".join(text.split()).upper().replace("_", ""))
    number = int(float(found[1]) * FACTORS[found[2]]) if found else 0
    if not number:
        raise SettingError(f"{name}={text!r} is not a number above 0; write bytes, or 512MB, or 4GB.")
    return number
