"""How long do the drawing, the curves under the sliders and the search take on the server?"""

import json
from collections.abc import Iterator
from functools import partial

from benchmarks.measure import Table, interleaved, ms, promised
from explorer import drawing
from explorer.counting import design_space
from explorer.counting.question import GOALS, Objective, Question, usual_limits
from explorer.counting.search import search
from explorer.families import PRESETS, family_of, plan
from explorer.plots.network import scene, widest
from explorer.wording import many

DRAWN, SENT = 60.0, 0.5  # ms for a scene; MB of it
CURVES = 150.0  # ms for all of a DenseNet's
SEARCH = 5.0  # seconds
SEARCHED = {
    "resnet20_cifar": ("blocks", "width"),
    "resnet18": ("block", "blocks"),
    "densenet121": ("growth_rate", "blocks"),
    "cliquenet_k36_t12": ("widths", "layers"),
    "vgg16": ("layers", "widths"),
}


def tables(quick: bool) -> Iterator[Table]:
    seconds = 1.0 if quick else 5.0
    yield Table(
        "Drawing: layout and scene",
        ("network, opened to", "nodes", "edges", "time", "sent", "promise", "kept", "promise", "kept"),
        [
            _drawing(name, level, seconds)
            for name in ("resnet152", "densenet201", "cliquenet_s3")
            for level in ("block", "operation")
        ],
    )
    rows = []
    for name in ("densenet121", "densenet264", "resnet50", "cliquenet_s0"):
        for measure in ("params", "memory"):
            drawn = design_space.curves(PRESETS[name], measure)
            times = interleaved({"all": partial(design_space.curves, PRESETS[name], measure)}, seconds)["all"]
            plans = sum(len(curve.values) for curve in drawn)
            kept = promised(1e3 * sorted(times)[len(times) // 2], at_most=CURVES, unit=" ms")
            rows.append((f"{name}, {measure}", str(len(drawn)), str(plans), ms(times), *kept))
    yield Table(
        "All cost curves of a network", ("network, measure", "curves", "plans", "time", "promise", "kept"), rows
    )
    yield Table(
        "Search under a budget",
        ("network, knobs", "what is best", "combinations", "counted", "undecided", "time", "promise", "kept"),
        [_search(name, names, objective) for name, names in SEARCHED.items() for objective in GOALS],
    )


def _search(name: str, names: tuple[str, ...], objective: Objective) -> tuple[str, ...]:
    """Under the limits that the page begins with."""
    written = plan(PRESETS[name])
    limits = tuple((limit, most) for limit, most in usual_limits(written).items() if limit != "memory")
    depth = family_of(PRESETS[name]).depth(PRESETS[name]) if objective == "cheapest" else 1
    found = search(PRESETS[name], names, Question(objective, limits, depth))
    return (
        f"{name}, {' and '.join(names)}",
        objective,
        many(found.combinations),
        f"{found.plans:,}",
        many(found.left.undecided),
        f"{found.seconds:.2f} s",
        *promised(found.seconds, at_most=SEARCH, unit=" s"),
    )


def _drawing(name: str, level: drawing.Level, seconds: float) -> tuple[str, ...]:
    written = plan(PRESETS[name])
    opened = drawing.opened_to(written, level)
    drawn = drawing.draw(written, opened)
    widest_one = widest(written)
    times = interleaved({"draw": lambda: scene(drawing.draw(written, opened), written, widest_one)}, seconds)["draw"]
    size = len(json.dumps(scene(drawn, written, widest_one))) / 1e6
    time_kept = promised(1e3 * sorted(times)[len(times) // 2], at_most=DRAWN, unit=" ms")
    size_kept = promised(size, at_most=SENT, unit=" MB")
    return (
        f"{name}, {level}s",
        str(len(drawn.nodes)),
        str(len(drawn.edges)),
        ms(times),
        f"{size:.2f} MB",
        *time_kept,
        *size_kept,
    )
