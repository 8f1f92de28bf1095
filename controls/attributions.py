"""Maps of attribution for the visitor: which class, against which baseline, computed with a way to stop, remembered."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import streamlit as st
from torch import Tensor
from torch.fx import GraphModule

from controls.services import built
from explorer.analyses.attribution import baselines
from explorer.analyses.attribution.methods import METHODS, Settings
from explorer.analyses.attribution.running import Attribution, attribute
from explorer.analyses.attribution.score import Target
from explorer.families import Config, plan
from explorer.pictures.images import Picture, as_seen, to_tensor
from explorer.running.weights import Weights

MOST_REMEMBERED = 64  # results of one visitor; a map of 224x224 pixels is 0.6 MB
MOST_UNASKED = 6e10  # MACs, some seconds: what is run without a click

T = TypeVar("T")
state = st.session_state


class Choices(NamedTuple):
    """What the visitor has set, as a value: with the network, the picture and the target it decides a map."""

    baseline: baselines.Baseline
    other: Picture | None  # of the baseline that is another image
    operation: str
    relu: bool
    steps: int
    samples: int
    segments: int
    noise: str
    seed: int


class Subject(NamedTuple):
    """A network and the picture that is explained to it."""

    title: str
    config: Config
    used: Weights
    picture: Picture


def prepared(subject: Subject, network: GraphModule) -> Tensor:
    """The picture as the network's input, (1, C, H, W)."""
    preparation = built.preparation(subject.config, subject.used)
    return to_tensor([as_seen(subject.picture, preparation)], preparation).to(next(network.parameters()).device)


def settings_of(subject: Subject, image: Tensor, method: str, choices: Choices) -> Settings:
    preparation = built.preparation(subject.config, subject.used)
    other = None
    if choices.baseline == "image" and choices.other:
        other = to_tensor([as_seen(choices.other, preparation)], preparation)
    # SHAP's distribution of baselines: draws of noise, or the one that is chosen twice
    count = 8 if METHODS[method].baseline == "many" else 1
    kind = choices.baseline
    regions = None
    if METHODS[method].superpixels:
        regions = baselines.superpixels(as_seen(subject.picture, preparation), choices.segments)
    here = plan(subject.config)
    return Settings(
        baseline=baselines.baseline(kind, image, preparation, count, choices.seed, other),
        operation=choices.operation if choices.operation in here else "",
        relu=choices.relu,
        superpixels=regions,
        steps=choices.steps,
        samples=choices.samples,
        noise=choices.noise if METHODS[method].noise else "",  # type: ignore[arg-type]
        seed=choices.seed,
    )


def passes(config: Config, method: str, choices: Choices) -> int:
    """About how many images go forward, and back where the method needs gradients."""
    chosen = METHODS[method]
    if method in ("integrated_gradients", "layer_conductance", "internal_influence"):
        count = choices.steps
    elif method == "occlusion":
        count = 250
    elif method == "feature_ablation":
        count = choices.segments
    elif chosen.samples:
        count = choices.samples or chosen.samples
    else:
        count = {"deep_lift": 4, "deep_lift_shap": 32}.get(method, 1)
    return count * (20 if choices.noise and chosen.noise else 1)


def work(config: Config, method: str, choices: Choices) -> float:
    """Multiply-accumulates; a backward pass is two forward passes."""
    return plan(config).macs * passes(config, method, choices) * (3.0 if METHODS[method].gradients else 1.0)


def key_of(subject: Subject, target: Target, method: str, choices: Choices) -> tuple[Any, ...]:
    chosen, relevant = METHODS[method], choices
    # what a method does not read does not make its map another
    if chosen.baseline == "none":
        relevant = relevant._replace(baseline="mean", other=None)
    if not chosen.operation:
        relevant = relevant._replace(operation="", relu=True)
    if not chosen.noise:
        relevant = relevant._replace(noise="")
    if not chosen.superpixels:
        relevant = relevant._replace(segments=0)
    return "map", subject.config, subject.used, subject.picture.digest, target, method, relevant


def find(subject: Subject, target: Target, method: str, choices: Choices) -> Attribution | None:
    found: Attribution | None = _remembered().get(key_of(subject, target, method, choices))
    return found


def explain(
    network: GraphModule, subject: Subject, target: Target, method: str, choices: Choices,
    told: Callable[[int, int], None],
) -> Attribution:  # fmt: skip
    """Raises AttributionError or BudgetError where the method cannot run."""
    image = prepared(subject, network)
    settings = settings_of(subject, image, method, choices)
    found = attribute(network, image, target, method, settings, told)
    _remember(key_of(subject, target, method, choices), found)
    return found


def once(key: tuple[Any, ...], analyse: Callable[[], T]) -> T:
    """Remember a result that is no map."""
    if key not in _remembered():
        _remember(key, analyse())
    found: T = _remembered()[key]
    return found


def known(key: tuple[Any, ...]) -> bool:
    return key in _remembered()


def _remembered() -> OrderedDict[tuple[Any, ...], Any]:
    found: OrderedDict[tuple[Any, ...], Any] = state.setdefault("attributions", OrderedDict())
    return found


def _remember(key: tuple[Any, ...], value: Any) -> None:
    kept = _remembered()
    kept[key] = value
    while len(kept) > MOST_REMEMBERED:
        kept.popitem(last=False)
