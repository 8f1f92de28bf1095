"""By how much a process grows while it runs a method of attribution under a memory limit. On Linux.

Each method runs in a fork of a process that has imported everything and computed nothing, so that no thread is lost.
Pages of libraries' code are not counted: the system can drop them at any time, and how many of them one access brings
depends on how the file lies in its cache; right after an installation it was 100 MB more for the same work.

An `exact` growth is what is held at a time: what is freed goes back to the system at once. In a page's process glibc
keeps up to 64 MB of it for later, as chance would have it: 121 to 170 MB were seen for the same work.
"""

import gc
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import child
from explorer.analyses.attribution.attribute import attribute
from explorer.analyses.attribution.method import Settings
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.score import Class
from explorer.families import PRESETS, plan
from explorer.running.network import build

EXACT = {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024)}  # bytes of the smallest block that goes back by itself


def growths(name: str, size: int, limit: int, exact: bool) -> dict[str, int]:
    """Bytes of each method on a preset at an input of `size` pixels, from before the network is built to the peak."""
    environment = {"EXPLORER_MAX_MEMORY": str(limit)} | (EXACT if exact else {})
    found: dict[str, int] = child(__name__, name, str(size), **environment)
    return found


def all_methods(name: str, size: int) -> dict[str, int]:
    found = {}
    for method in METHODS:
        reading, writing = os.pipe()
        if not (process := os.fork()):
            try:
                os.write(writing, str(growth(name, size, method)).encode())
            except Exception as error:  # the fork must not go on as its parent
                print(f"{type(error).__name__}: {method}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        os.close(writing)
        if os.waitpid(process, 0)[1]:
            sys.exit(1)
        found[method] = int(os.read(reading, 64))
        os.close(reading)
    return found


def growth(name: str, size: int, method: str) -> int:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, code = resident("VmRSS"), resident("RssFile")
    network = build(plan(PRESETS[name].replace(input_size=size)))
    draw = torch.Generator().manual_seed(0)
    image, baselines = torch.randn(1, 3, size, size, generator=draw), torch.randn(8, 3, size, size, generator=draw)
    quarter = np.arange(size) * 4 // size
    settings = Settings(
        baseline=baselines,
        superpixels=4 * quarter[:, None] + quarter,
        steps=8,
        samples=8,
        window=size // 4,
    )
    attribute(network, image, Class(3), method, settings)
    return resident("VmHWM") - before - (resident("RssFile") - code)


def resident(line: str) -> int:
    """Bytes of the process: VmRSS now, VmHWM at the peak; RssFile now, of files that are mapped."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(text.split()[1]) for text in lines if text.startswith(line))


if __name__ == "__main__":
    print(json.dumps(all_methods(sys.argv[1], int(sys.argv[2]))))
