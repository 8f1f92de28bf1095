"""Writing a plan, against counting the same network with the tools that people use.

The peers get a network that is already built, on torch's meta device where they can count there; ours is the time
from the configuration to the sums. Each peer is measured in a process of its own, ours beside it, since they patch
torch or leave hooks that the next one would count.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

from benchmarks.measure import UNPROMISED, Table, child, interleaved, ms, promised, ratios, spread
from explorer.families import PRESETS, write_plan

NETWORKS = ("densenet201", "resnet152", "cliquenet_s3")
PROMISED = {"densenet201": (0.6, 0.8)}  # ms, the medians of write_plan and of that with the sums


def tables(quick: bool) -> Iterator[Table]:
    seconds = "2" if quick else "10"
    times, counts = [], []
    for name in NETWORKS:
        alone = child(__name__, name, "", seconds)
        for what, limit in zip(("write_plan", "sums"), PROMISED.get(name, (0, 0)), strict=True):
            middle = 1e3 * statistics.median(alone[what])
            promise = promised(middle, at_most=limit, unit=" ms") if limit else UNPROMISED
            title = "write_plan" if what == "write_plan" else "to the sums, alone"
            times.append((f"{name}, {title}", ms(alone[what]), "", "", "", *promise))
        plan = write_plan(PRESETS[name])
        for peer in PEERS:
            found = against(name, peer, seconds)
            if "error" in found:
                times.append((f"{name}, to the sums", "", PEERS[peer].title, found["error"], "", *UNPROMISED))
                continue
            title, per_mac = f"{PEERS[peer].title}, {found['device']}", PEERS[peer].per_mac
            ratio = spread(ratios(found["peer"], found["ours"]))
            times.append((f"{name}, to the sums", ms(found["ours"]), title, ms(found["peer"]), ratio, *UNPROMISED))
            params, macs = found["params"], found["macs"]
            ours = plan.macs * per_mac
            unit = "MACs" if per_mac == 1 else "FLOPs"
            numbers = f"{plan.params:,}", f"{params:,}", unit, f"{ours:,}", f"{macs:,}", f"{macs / ours:.4f}"
            counts.append((f"{name}, {PEERS[peer].title}", *numbers))
    yield Table("Time", ("one image", "ours", "peer, on", "peer's", "peer / ours", "promise", "kept"), times)
    yield Table(
        "Counts",
        ("one image", "our params", "peer's", "unit", "ours", "peer's", "peer / ours"),
        counts,
        [
            "torchinfo, fvcore and ptflops count norms too, each in its own way. CliqueNet's shared kernels are read",
            "by a module of ours: ptflops passes over modules that it does not know, torchinfo counts the whole",
            "kernel for each pass.",
        ],
    )


def against(name: str, peer: str, seconds: str) -> Any:
    if find_spec(peer) is None:
        return {"error": "not installed"}
    try:
        return child(__name__, name, peer, seconds)
    except RuntimeError as error:
        return {"error": str(error)[:80]}


class Count(NamedTuple):
    params: int
    macs: int


def by_torchinfo(network: Any, images: Any) -> Count:
    import torchinfo

    found = torchinfo.summary(network, input_data=images, device=images.device, verbose=0)
    return Count(found.total_params, found.total_mult_adds)


def by_fvcore(network: Any, images: Any) -> Count:
    from fvcore.nn import FlopCountAnalysis, parameter_count

    found = FlopCountAnalysis(network, images).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return Count(parameter_count(network)[""], int(found.total()))


def by_ptflops(network: Any, images: Any) -> Count:
    from ptflops import get_model_complexity_info

    size = tuple(images.shape[1:])
    macs, params = get_model_complexity_info(network, size, as_strings=False, print_per_layer_stat=False)
    return Count(params, macs)


def by_torch(network: Any, images: Any) -> Count:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    return Count(sum(p.numel() for p in network.parameters()), counter.get_total_flops())


class Peer(NamedTuple):
    title: str
    count: Callable[[Any, Any], Count]
    per_mac: int = 1  # what it counts for one MAC


PEERS = {  # by the package that must be there
    "torchinfo": Peer("torchinfo.summary", by_torchinfo),
    "fvcore": Peer("fvcore FlopCountAnalysis", by_fvcore),
    "ptflops": Peer("ptflops", by_ptflops),
    "torch": Peer("torch FlopCounterMode", by_torch, per_mac=2),
}


def built(name: str, device: str) -> Any:
    """The network as a peer can read it: torchvision's, or ours where torchvision has none."""
    import torch
    import torchvision

    from explorer.running.network import blank, build

    if name in torchvision.models.list_models():
        with torch.device(device):
            return torchvision.models.get_model(name).eval()
    plan = write_plan(PRESETS[name])
    return blank(plan) if device == "meta" else build(plan)


def ours(name: str) -> Count:
    plan = write_plan(PRESETS[name])
    return Count(plan.params, plan.macs)


def turns(name: str, peer: str, seconds: float) -> dict[str, Any]:
    """Ours and the peer's times, on meta where the peer can count there."""
    import torch

    size = PRESETS[name].input_size
    for device in ("meta", "cpu"):
        network = built(name, device)
        count = partial(PEERS[peer].count, network, torch.zeros(1, 3, size, size, device=device))
        try:
            found = count()
        except Exception:
            if device == "cpu":
                raise
        else:
            break
    return interleaved({"ours": partial(ours, name), "peer": count}, seconds) | {"device": device} | found._asdict()


def main(name: str, peer: str, seconds: str) -> None:
    if peer:
        print(json.dumps(turns(name, peer, float(seconds))))
    else:  # in a process without torch, as `python -m explorer count` and the tests of the plan have it
        both = {"write_plan": partial(write_plan, PRESETS[name]), "sums": partial(ours, name)}
        print(json.dumps(interleaved(both, min(float(seconds), 6), time.process_time)))


if __name__ == "__main__":
    main(*sys.argv[1:])
