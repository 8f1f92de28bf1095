"""Gradient flow of the visitor's network and of those it is compared with: what to run, running it with a way to stop,
and remembering what was run."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import streamlit as st
import torch

from controls import session
from controls.services import built
from explorer.analyses import gradients
from explorer.analyses.gradients import Batch, Flow
from explorer.counting import comparisons as contenders
from explorer.counting.budget import BudgetError, gigabytes
from explorer.counting.comparisons import Contender
from explorer.families import Config, plan
from explorer.pictures.images import Picture, as_seen, to_tensor
from explorer.plan import Plan
from explorer.running import devices
from explorer.running.weights import Weights

MOST_REMEMBERED = 48  # results of one visitor; each is some hundred kilobytes
MOST_UNASKED = 9e10  # MACs, some seconds: what is run without a click

state = st.session_state


class Settings(NamedTuple):
    pictures: tuple[Picture, ...]  # none: noise
    label: int  # class of all images; -1: random labels
    count: int
    mode: gradients.Mode
    seeds: int
    every: bool  # norms too


def own() -> Contender:
    return Contender("this network", session.config())


def present(against: tuple[str, ...]) -> list[Contender]:
    found = (contenders.find(key, session.config()) for key in against)
    return [own(), *(one for one in found if one)]


def work(one: Contender, settings: Settings) -> float:
    """Multiply-accumulates of all its runs: a backward pass is two forward passes."""
    return 3.0 * plan(one.config).macs * settings.count * settings.seeds


def flow_of(one: Contender, used: Weights, settings: Settings) -> Flow | None:
    """What was measured, if it was."""
    found: Flow | None = _remembered().get(_key("flow", one, used, settings))
    return found


def measure(one: Contender, used: Weights, settings: Settings, told: Callable[[int], None]) -> None:
    here = plan(one.config)
    trained = used.trained and one.config == session.config()
    mode = settings.mode

    def run() -> Flow:
        source = (
            _private(mode, settings.seeds) if trained else gradients.fresh(here, _seeds(used, settings), mode, device)
        )
        return gradients.flow(source, _batches(one.config, used, settings), settings.every, told)

    device = session.device()
    _remember(_key("flow", one, used, settings), _within(here, settings.count, gradients.needed_bytes, run))


def once(what: str, used: Weights, settings: Settings, analyse: Callable[[Any, Batch], Any]) -> Any:
    """An analysis of the visitor's network alone, with the first seed."""
    key = _key(what, own(), used, settings._replace(seeds=1))
    if key not in _remembered():
        here = session.current_plan()

        def run() -> Any:
            if used.trained:
                network = next(_private(settings.mode, 1))
            else:
                network = next(gradients.fresh(here, _seeds(used, settings), settings.mode, session.device()))
            return analyse(network, next(_batches(session.config(), used, settings)))

        _remember(key, _within(here, settings.count, lambda p, n: 2 * gradients.needed_bytes(p, n), run))
    return _remembered()[key]


def _within(here: Plan, count: int, needed: Callable[[Plan, int], int], run: Callable[[], Any]) -> Any:
    limit = devices.device_limits(session.device()).memory
    if needed(here, count) > limit:
        fits = next((n for n in range(count, 0, -1) if needed(here, n) <= limit), 0)
        raise BudgetError(
            f"Gradients on {count} images would take about {gigabytes(needed(here, count))}; the limit is "
            f"{gigabytes(limit)}: " + (f"a batch of {fits} would fit." if fits else "use a smaller input.")
        )
    return devices.within(session.device(), here, count, needed(here, count), run)


def _private(mode: gradients.Mode, times: int) -> Iterator[Any]:
    network, _ = built.current()
    for _ in range(times):
        yield gradients.private(network, mode)


def _seeds(used: Weights, settings: Settings) -> range:
    first = int(used.identity) if used.source == "fresh" else 0
    return range(first, first + settings.seeds)


def _batches(config: Config, used: Weights, settings: Settings) -> Iterator[Batch]:
    here, device = plan(config), session.device()
    for seed in _seeds(used, settings):
        images, labels = gradients.noise(here, settings.count, seed, device)
        if settings.pictures:
            preparation = built.preparation(config, used)
            # over and over until the batch is full
            chosen = [settings.pictures[i % len(settings.pictures)] for i in range(settings.count)]
            images = to_tensor([as_seen(one, preparation) for one in chosen], preparation).to(device)
        if settings.label >= 0:
            labels = torch.full_like(labels, settings.label)
        yield Batch(images, labels)


def _key(what: str, one: Contender, used: Weights, settings: Settings) -> tuple[Any, ...]:
    return (
        what,
        one.config,
        used if used.trained and one.config == session.config() else _seeds(used, settings),
        settings,
        session.device(),
    )


def _remembered() -> OrderedDict[tuple[Any, ...], Any]:
    found: OrderedDict[tuple[Any, ...], Any] = state.setdefault("flows", OrderedDict())
    return found


def _remember(key: tuple[Any, ...], value: Any) -> None:
    kept = _remembered()
    kept[key] = value
    while len(kept) > MOST_REMEMBERED:
        kept.popitem(last=False)
