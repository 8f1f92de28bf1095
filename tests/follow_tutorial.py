"""What somebody does who has put the tutorial's file among the families; its findings as JSON.

Run by test_a_family_tutorial.py, in a process of its own: the project's folder, the folder of the file, and the
tutorial's own words are its arguments.
"""

import contextlib
import importlib.util
import io
import json
import sys
from typing import Any


def discover(folder: str) -> None:
    """Import `explorer.families` with one more folder in which to look for families."""
    spec = importlib.util.find_spec("explorer.families")
    assert spec
    assert spec.loader
    assert spec.submodule_search_locations is not None
    spec.submodule_search_locations.append(folder)
    package = sys.modules["explorer.families"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


def follow(use: str, commands: list[str]) -> dict[str, Any]:
    import torch

    from explorer import drawing, families, links
    from explorer.analyses import gradients
    from explorer.command_line.program import main
    from explorer.counting.costs import summary, table
    from explorer.running.network import build, run
    from explorer.running.source import python_source

    used: dict[str, Any] = {}
    exec(use, used)
    preset = families.PRESETS["mobilenet28"]
    tiny = families.FAMILIES["mobilenet"].examples[0]
    plan = families.plan(tiny)
    network = build(plan, seed=3)
    images = torch.randn(2, *plan.ops[0].shape, generator=torch.Generator().manual_seed(0))
    logits, kept = run(network, images, [op.name for op in plan.ops])
    scope: dict[str, Any] = {"__name__": "exported"}
    exec(python_source(tiny), scope)
    exported = scope["Network"]().eval()
    exported.load_state_dict(network.state_dict(), strict=True)
    flow = gradients.flow([gradients.private(network, "eval")], [gradients.noise(plan, 2, 0)])
    printed = []
    for command in commands:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            assert main(command.split()) == 0
        printed.append(output.getvalue())
    return {
        "families": list(families.FAMILIES),
        "title": families.TITLES["mobilenet28"],
        "known": families.known_as(families.parse({"family": "mobilenet"})),
        "others": families.known_as(families.parse({"family": "resnet"})),
        "depth": families.depth_label(preset),
        "knobs": [(knob.name, knob.kind) for knob in families.knobs(type(preset))],
        "params": families.plan(preset).params,
        "macs": families.plan(preset).macs,
        "counted": (plan.params, sum(weight.numel() for weight in network.parameters())),
        "rows": [row.name for row in table(plan, "stage")],
        "field": summary(plan).receptive_field,
        "nodes": [node.id for node in drawing.draw(plan, drawing.opened_to(plan, "stage")).nodes],
        "link": links.write(links.read({"network": "mobilenet28", "width": "16"})[0]),
        "logits": list(logits.shape),
        "other shapes": [op.name for op in plan.ops[:-1] if kept[op.name].shape != (2, *op.shape)],
        "same logits": torch.equal(exported(images), logits),
        "weights": flow.weighted,
        "without gradient": [
            name
            for names, norms in ((flow.operations, flow.activation[0]), (flow.weighted, flow.weight[0]))
            for name, norm in zip(names, norms, strict=True)
            if not norm > 0
        ],
        "used": used["config"].model_dump() | {"params": sum(w.numel() for w in used["network"].parameters())},
        "printed": printed,
    }


if __name__ == "__main__":
    root, folder, asked = sys.argv[1:]
    sys.path.insert(0, root)
    discover(folder)
    print(json.dumps(follow(**json.loads(asked))))
