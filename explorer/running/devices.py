"""Where do networks run, whose turn is it, and what fits? Out of memory becomes a clear error."""

import ctypes
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import NamedTuple, TypeVar

import torch

from explorer.counting.budget import BudgetError, Limits, check, free_memory, lately, limits
from explorer.plan import Plan
from explorer.wording import gigabytes

T = TypeVar("T")

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
OWN_BLOCK, KEPT_FREE = 4 * 2**20, 64 * 2**20  # bytes, for the two
MEASURING = 0.5  # seconds, about, in which a device's speed is measured


class Device(NamedTuple):
    """`name` is torch's ("cuda:0", "mps", "cpu"), `title` the maker's."""

    name: str
    title: str


def devices() -> tuple[Device, ...]:
    """All that this machine has, the fastest first."""
    found, threads = [], torch.get_num_threads()
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        found += [Device(f"cuda:{i}", torch.cuda.get_device_name(i)) for i in range(count)]
    if torch.backends.mps.is_available():
        found.append(Device("mps", "Apple GPU"))
    return (*found, Device("cpu", f"CPU, {threads} {'thread' if threads == 1 else 'threads'}"))


def free(device: str) -> int:
    """Bytes that are free there now."""
    if device.startswith("cuda"):
        # what torch's allocator holds and does not use is free for us too
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    if device == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free_memory()


def free_lately(device: str) -> int:
    """Bytes that were free there within the last second."""
    return lately(free, device)


def device_limits(device: str) -> Limits:
    return limits(free_lately(device))


def busy() -> bool:
    """Whether as much is running as the machine has cores, beside what asks."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1)


@lru_cache
def macs_per_second(device: str) -> float:
    """Multiply-accumulates that a network does there in a second, roughly, while nothing else runs; measured once.

    By a convolution from the middle of a ResNet, 3x3 with 64 channels on 56x56 pixels, of whose speed networks reach
    about half: their norms and activations take time and are no multiply-accumulates. On a CPU its processor time
    counts, shared out among the threads, where that is less: the clock goes on while other programs have their turn.
    """
    images, kernel = torch.ones(4, 64, 56, 56, device=device), torch.ones(64, 64, 3, 3, device=device)
    macs = len(images) * 56 * 56 * kernel.numel()
    threads = torch.get_num_threads() if device == "cpu" else 0
    seconds: list[float] = []
    end = time.perf_counter() + MEASURING
    with torch.inference_mode():
        while len(seconds) < 8 or (len(seconds) < 30 and time.perf_counter() < end):  # the first ones warm up
            began, used = time.perf_counter(), time.process_time()
            float(torch.nn.functional.conv2d(images, kernel, padding=1)[0, 0, 0, 0])  # waits until it is done
            seconds.append(time.perf_counter() - began)
            if threads:
                seconds[-1] = min(seconds[-1], (time.process_time() - used) / threads)
    return 0.5 * macs / min(seconds)


@lru_cache
def return_freed_memory() -> None:
    """Have the C library give large freed tensors back to the system at once, for the whole process.

    glibc by itself learns to keep freed blocks of up to 32 MB for later, each thread its own: forward and backward
    passes of ResNet-50 over 4 images grew a process by 527 to 611 MB; with blocks of 4 MB and more given back, by 435
    to 491. The price is that their pages are taken anew each time: with 4 images 1.2 to 1.5 times as long, with one
    image no longer. (Give back blocks of 128 kB and more, and each pass takes 2 to 3 times as long.) Does nothing with
    another C library, or where MALLOC_MMAP_THRESHOLD_ says otherwise.
    """
    if sys.platform != "linux" or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    if hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, OWN_BLOCK)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_FREE)


def return_cached_memory() -> None:
    """Let other processes have what torch's allocator holds on a GPU for this one and does not use."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class _Room:
    """How much memory the analyses that now run on a device have been promised."""

    def __init__(self) -> None:
        self.promised = 0
        self.changed = threading.Condition()


_rooms: dict[str, _Room] = {}

AskForRoom = Callable[[str, int, float], AbstractContextManager[None]]
_another: list[AskForRoom] = []  # where another process promises this one its memory: how it is asked


def ask_for_room(of: AskForRoom) -> None:
    """From now on this process is promised memory by another one, which knows what all of its kind hold."""
    _another[:] = [of]


@contextmanager
def room(device: str, needed: int, patience: float = 60) -> Iterator[None]:
    """Waits until `needed` bytes are free beside what other visitors were promised, and holds them.

    Forward passes need no lock, but ten at once must not take ten times the memory. Raises BudgetError after
    `patience` seconds.
    """
    if _another:
        with _another[0](device, needed, patience):
            yield
        return
    space = _rooms.setdefault(device, _Room())
    with space.changed:
        if not space.changed.wait_for(
            lambda: space.promised == 0 or space.promised + needed <= free(device), timeout=patience
        ):
            raise BudgetError(f"{device} is busy: {gigabytes(needed)} did not become free; try again in a moment.")
        space.promised += needed
    try:
        yield
    finally:
        with space.changed:
            space.promised -= needed
            space.changed.notify_all()


def within(device: str, plan: Plan, batch: int, needed: int, work: Callable[[], T]) -> T:
    """Runs `work` where and when it fits. Raises BudgetError, before anything is allocated where the estimate is
    too large, and after a real out-of-memory error too; the device is usable afterwards.
    """
    check(plan, batch, device_limits(device))
    return_freed_memory()
    with room(device, needed):
        return attempted(device, work, f"{batch // 2} images" if batch > 1 else "a smaller input or fewer channels")


def attempted(device: str, work: Callable[[], T], smaller: str) -> T:
    """What `work` returns. Raises BudgetError where the device runs out of memory, with the advice to try something
    `smaller`; it is usable afterwards.
    """
    failure = ""
    try:
        return work()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        failure = _asked_for(str(error))
    # here, and not in the except block: its traceback would keep the tensors alive
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    raise BudgetError(f"{device} ran out of memory{failure}. {gigabytes(free(device))} are free now; try {smaller}.")


BYTES = re.compile(r"tried to allocate ([0-9]+) bytes")


def _asked_for(said: str) -> str:
    """Of the CPU's words how much was too much; a GPU's say nothing that would help."""
    found = BYTES.search(said)
    return f" when it was asked for {gigabytes(int(found[1]))} more" if found else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, which the CPU and the GPUs say in different ways."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and ("alloc" in str(error) or "out of memory" in str(error))
