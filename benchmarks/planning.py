"""Writing a plan, against counting the same network with the tools that people use.

The peers get a network that is already built, on torch's meta device where they can count there; ours is the time
from the configuration to the sums. Each peer is measured in a process of its own: several leave hooks or patches
behind that disturb the next one.
"""

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

from benchmarks.measure import UNPROMISED, Table, child, interleaved, ms, promised, ratios, spread
from explorer.families import PRESETS, write_plan

NETWORKS = ("densenet201", "resnet152", "cliquenet_s3")
PROMISED = ("densenet201", 1.0)  # ms

Count = tuple[int, int]  # params; MACs or FLOPs


def torchinfo(network: Any, images: Any) -> Count:
    import torchinfo

    found = torchinfo.summary(network, input_data=images, device=images.device, verbose=0)
    return found.total_params, found.total_mult_adds


def fvcore(network: Any, images: Any) -> Count:
    from fvcore.nn import FlopCountAnalysis, parameter_count

    found = FlopCountAnalysis(network, images).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return parameter_count(network)[""], int(found.total())


def ptflops(network: Any, images: Any) -> Count:
    from ptflops import get_model_complexity_info

    macs, params = get_model_complexity_info(
        network, tuple(images.shape[1:]), as_strings=False, print_per_layer_stat=False
    )
    return params, macs


def torch(network: Any, images: Any) -> Count:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops()


PEERS: dict[str, tuple[Callable[[Any, Any], Count], str, int]] = {  # title, and FLOPs for one MAC
    "torchinfo": (torchinfo, "torchinfo.summary", 1),
    "fvcore": (fvcore, "fvcore FlopCountAnalysis", 1),
    "ptflops": (ptflops, "ptflops", 1),
    "torch": (torch, "torch FlopCounterMode", 2),
}


def tables(quick: bool) -> Iterator[Table]:
    seconds = "2" if quick else "10"
    times, counts = [], []
    for name in NETWORKS:
        alone = child(__name__, name, "", seconds)["ours"]
        promise = promised(1e3 * statistics.median(alone), at_most=PROMISED[1], unit=" ms")
        times.append((f"{name}, write_plan", ms(alone), "", "", "", *(promise if name == PROMISED[0] else UNPROMISED)))
        for peer, (_, title, flops) in PEERS.items():
            if find_spec(peer) is None:
                times.append((f"{name}, plan and sums", "", title, "not installed", "", *UNPROMISED))
                continue
            found = child(__name__, name, peer, seconds)
            if "error" in found:
                times.append((f"{name}, plan and sums", "", title, found["error"], "", *UNPROMISED))
                continue
            where = f"{title}, {found['device']}"
            ratio = spread(ratios(found["ours"], found["peer"]))
            times.append((f"{name}, plan and sums", ms(found["ours"]), where, ms(found["peer"]), ratio, *UNPROMISED))
            plan = write_plan(PRESETS[name])
            pairs = zip(("params", "FLOPs" if flops == 2 else "MACs"), (plan.params, flops * plan.macs), found["counts"])
            for what, ours, theirs in pairs:
                counts.append((f"{name}, {what}", f"{ours:,}", title, f"{theirs:,}", f"{ours / theirs:.3f}"))
    yield Table("Time", ("one image", "ours", "peer", "peer's", "ours / peer", "promise", "kept"), times)
    yield Table(
        "Counts", ("one image", "ours", "peer", "peer's", "ours / peer"), counts,
        ["torchinfo, fvcore and ptflops count norms too, each in its own way; kernels that two passes share are read by a",
         "module of ours, which ptflops does not know and passes over, and torchinfo counts by its parameters."],
    )  # fmt: skip


def built(name: str, device: str) -> Any:
    """The same network as a peer can read it: torchvision's, or ours where torchvision has none."""
    import torch as pytorch
    import torchvision

    from explorer.network import blank, build

    plan = write_plan(PRESETS[name])
    if name not in torchvision.models.list_models():
        return blank(plan) if device == "meta" else build(plan)
    with pytorch.device(device):
        return torchvision.models.get_model(name).eval()


def ours(name: str) -> Count:
    plan = write_plan(PRESETS[name])
    return plan.params, plan.macs


def against(name: str, peer: str, seconds: float) -> dict[str, Any]:
    import torch as pytorch

    count = PEERS[peer][0]
    size = PRESETS[name].input_size
    for device in ("meta", "cpu"):
        network = built(name, device)
        images = pytorch.zeros(1, 3, size, size, device=device)
        try:
            counts = count(network, images)
        except Exception:
            if device == "cpu":
                raise
            continue
        break
    times = interleaved({"ours": partial(ours, name), "peer": partial(count, network, images)}, seconds)
    return {**times, "device": device, "counts": counts}


def main(name: str, peer: str, seconds: str) -> None:
    if peer:
        print(json.dumps(against(name, peer, float(seconds))))
    else:
        print(json.dumps(interleaved({"ours": partial(write_plan, PRESETS[name])}, min(float(seconds), 3))))


if __name__ == "__main__":
    main(*sys.argv[1:])
