"""What one visitor has chosen: the network, its weights, the device, the operation looked at; and the link to it."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from explorer import links
from explorer.counting import comparisons as contenders
from explorer.families import Config, ConfigError, plan
from explorer.links import Choice
from explorer.plan import Plan
from explorer.running import devices, weights
from explorer.running.weights import Weights

# of attribution
LOOKS = ("methods", "class", "minus", "channel", "baseline", "noise", "relu", "steps", "segments", "samples", "draw")
MOST_LOOK = 300  # characters; pages check what they read, and fall back

state = st.session_state


def choice() -> Choice:
    found: Choice = state.choice
    return found


def config() -> Config:
    return choice().config


def current_plan() -> Plan:
    return plan(config())


def problems() -> list[str]:
    """Sentences for the visitor, shown once at the top of the page."""
    found: list[str] = state.setdefault("problems", [])
    return found


def choose(origin: str) -> None:
    """Start anew from a published network."""
    state.choice = links.start(origin)
    state.turned = True


def change(**changes: Any) -> None:
    """Turn knobs. What cannot be is refused with a sentence, and the knobs stay where they were."""
    state.turned = True
    try:
        state.choice = choice()._replace(config=config().adapt(**changes))
    except ConfigError as error:
        problems().append(f"Not changed: {error}.")


def operation() -> str | None:
    """The operation that the visitor looks at, if the network has it."""
    name: str | None = state.get("operation")
    return name if name is not None and name in current_plan() else None


def look_at(name: str) -> None:
    state.operation = name
    state.turned = True


def against() -> tuple[str, ...]:
    """The contenders that the network is compared with, those that it has."""
    keys: tuple[str, ...] = state.get("against", ())
    return tuple(key for key in keys if contenders.find(key, config()))


def compare(keys: tuple[str, ...]) -> None:
    state.against = keys
    state.turned = True


def look(name: str, default: str = "") -> str:
    """What a page has in the link under this name."""
    looks: dict[str, str] = state.setdefault("looks", {})
    return looks.get(name, default)


def keep(name: str, value: str) -> None:
    """Have the link carry this; "" takes it out."""
    looks: dict[str, str] = state.setdefault("looks", {})
    looks.pop(name, None)
    if value:
        looks[name] = value
    state.turned = True


def chosen_weights() -> Weights:
    """What the visitor asked for, or fresh weights where that is not for this network."""
    wanted: Weights = state.setdefault("weights", weights.fresh(0))
    return wanted


def use(wanted: Weights) -> None:
    state.weights = wanted
    state.turned = True


def device() -> str:
    """The device that runs this visitor's networks: the one chosen, or the fastest."""
    name: str = state.get("device") or devices.devices()[0].name
    return name


def read_link() -> None:
    """Take the network from the link where the link is news: at the start, or when the visitor went back.

    After a control was turned it is not: a browser whose keys are pressed quickly sends the address of some
    presses ago.
    """
    params = st.query_params.to_dict()
    if "choice" not in state:
        state.choice = links.start()
    elif not params or params == state.get("link") or state.get("turned"):
        return
    state.choice, found = links.read(params)
    problems().extend(found)
    if "op" in params:
        if params["op"] in current_plan():
            state.operation = params["op"]
        else:
            problems().append(f"The link names an operation {params['op'][:60]!r} that this network does not have.")
    state.against = _against_of(params)
    state.looks = {name: params[name][:MOST_LOOK] for name in LOOKS if params.get(name)}
    state.weights = _weights_of(params)
    state["weights.source"] = ""  # shows what the link says


def write_link() -> None:
    """Let the browser's address tell the whole state, so that it can be copied."""
    link = links.write(choice())
    wanted = chosen_weights()
    if wanted.source == "torchvision":
        link["weights"] = wanted.identity
    elif wanted.source == "fresh" and wanted.identity != "0":
        link["seed"] = wanted.identity
    if name := operation():
        link["op"] = name
    if keys := against():
        link["against"] = ".".join(keys)
    link |= state.setdefault("looks", {})
    state.link = link  # first, since the script may be interrupted where it tells the browser
    if st.query_params.to_dict() != link:
        st.query_params.from_dict(link)
    state.turned = False


def _against_of(params: Mapping[str, str]) -> tuple[str, ...]:
    keys = [key for key in params.get("against", "")[:1000].split(".") if key]
    known = [key for key in dict.fromkeys(keys) if contenders.find(key, config())]
    if missing := [key for key in keys if key not in known]:
        problems().append(f"The link compares with {missing[0][:40]!r}, which this network cannot be compared with.")
    return tuple(known[: contenders.MOST])


MOST_SEED = 2**31 - 1


def _weights_of(params: Mapping[str, str]) -> Weights:
    if "weights" in params:
        for found in weights.offered(config()):
            if found.identity == params["weights"]:
                return found
        problems().append(f"The link names weights {params['weights'][:60]!r} that are not for this network.")
    seed = params.get("seed", "0")
    if not seed.isascii() or not seed.isdigit() or len(seed) > 10 or int(seed) > MOST_SEED:
        problems().append(f"The link's seed {seed[:20]!r} is not a number from 0 to {MOST_SEED}; this is 0 instead.")
        seed = "0"
    return weights.fresh(int(seed))
