"""Networks that run: each process builds one once for all visitors who look at it, and never changes it."""

from collections.abc import Hashable, Mapping
from functools import partial

import streamlit as st
from torch import Tensor
from torch.fx import GraphModule

from controls import session, work
from controls.services import checkpoints
from controls.text import plain
from controls.work import Progress, Task
from explorer.counting import budget, effort
from explorer.counting.budget import BudgetError
from explorer.counting.memory import BYTES, fast_form_bytes, forward_bytes
from explorer.families import Config, plan
from explorer.pictures.preparation import Preparation, as_seen, standard_preparation, to_tensor
from explorer.pictures.samples import SAMPLES, sample
from explorer.remembering import Remembered
from explorer.running import devices, weights
from explorer.running.calibration import PHOTOGRAPHS, calibrate, can_be_calibrated
from explorer.running.card import Card, CardError
from explorer.running.network import blank, build, plan_of
from explorer.running.weights import Weights, WeightsError

MOST_NETWORKS, MOST_BYTES = 4, 500_000_000  # kept at once by each process, with their fast forms
MOST_READY = 256  # that are known to be possible

StateDict = Mapping[str, Tensor]


def current(asks: bool = True) -> Weights:
    """The weights that the visitor's network really has, on the chosen device; it is built where work on it is done.

    Weights that cannot be had, or that do not fit, are replaced by fresh ones, and a message says so. Where building it
    and running an image takes long, the page ends at a button that says so; without `asks` a click has agreed already.
    """
    config, wanted = session.config(), session.chosen_weights()
    if asks and not work.agreed("Build and run this network", task(config, wanted, session.device(), passes=2)):
        st.stop()
    with st.spinner("Building the network ...", show_time=True):
        try:
            _make_ready(config, wanted, session.device())
            return wanted
        except WeightsError as error:
            tell(error)
        wanted = fresh(config)
        _make_ready(config, wanted, session.device())
        return wanted


def _make_ready(config: Config, wanted: Weights, device: str) -> None:
    """Raises WeightsError."""
    if wanted.source == "torchvision":
        _download(wanted)
    _build_once(config, wanted.numbers, device, wanted)


@st.cache_data(max_entries=MOST_READY, show_spinner=False)
def _build_once(config: Config, numbers: Weights, device: str, _wanted: Weights) -> None:
    """That it can be built is known from then on; a process that has it no more builds it again."""
    work.carry_out(partial(_build, config, _wanted, device), network=identity(config, numbers, device))


def _build(config: Config, wanted: Weights, device: str, progress: Progress) -> None:
    network(config, wanted, device)


def identity(config: Config, wanted: Weights, device: str) -> Hashable:
    """What tells a network from others, for `Task.network`."""
    return config, wanted.numbers, device


def fresh(config: Config) -> Weights:
    """For a network that the visitor has chosen no weights for."""
    return weights.fresh(0, can_be_calibrated(plan(config), PHOTOGRAPHS))


def task(config: Config, wanted: Weights, device: str, passes: int) -> Task[None]:
    """Building, with the norms' calibration, and an image that goes through so many times, as a page asks for the
    outputs of some operations, then for those of others.
    """
    its = plan(config)
    drawing, starts = effort.building(its)
    images = passes + PHOTOGRAPHS * wanted.calibrated
    macs = drawing + images * effort.slowness(its) * its.macs
    return Task("", macs, partial(_build, config, wanted, device), starts + 3 * len(its.ops))


def network(config: Config, wanted: Weights, device: str) -> GraphModule:
    """Any network, in eval mode; whoever runs it only reads it. Raises WeightsError."""
    return _networks.get((config, wanted.numbers, device), partial(_network, config, wanted, device))


def tell(error: WeightsError) -> None:
    """Say why weights cannot be used, with all the differences behind a click."""
    st.warning(plain(str(error)), icon=":material/warning:")
    if len(error.mismatches) > 1:
        with st.expander(f"What does not fit: {len(error.mismatches)} lines"):
            st.text("\n".join(error.mismatches))


def _size(network: GraphModule) -> int:
    return BYTES * plan_of(network).params + fast_form_bytes(plan_of(network))


_networks: Remembered[GraphModule] = Remembered(MOST_BYTES, MOST_NETWORKS, _size)


def _network(config: Config, wanted: Weights, device: str) -> GraphModule:
    written = plan(config)
    budget.check(written)
    with devices.room(device, BYTES * written.params):
        if wanted.source == "fresh":
            network = build(written, int(wanted.identity), device)
        else:
            network = devices.attempted(device, partial(_filled, config, wanted, device), "a smaller network")
    if wanted.calibrated:
        _calibrate(network, config, device)
    return network


def _filled(config: Config, wanted: Weights, device: str) -> GraphModule:
    network = blank(plan(config))
    weights.load(network, _values(config, wanted), take=True)  # a large checkpoint is in memory once
    return network.to(device)


def _calibrate(network: GraphModule, config: Config, device: str) -> None:
    """By as many of the sample photographs as there is room for."""
    preparation = standard_preparation(config.input_size, config.channels)
    written, limit = plan(config), devices.device_limits(device)
    count = max(1, min(PHOTOGRAPHS, budget.fitting_batch(written, limit)))
    if not can_be_calibrated(written, count):
        raise BudgetError("There is no room to calibrate the norms of fresh weights: leave them raw in the sidebar.")
    chosen = [as_seen(sample(name), preparation) for name in list(SAMPLES)[:count]]
    images = to_tensor(chosen, preparation).to(device)
    devices.within(device, written, count, forward_bytes(written, count), partial(calibrate, network, images))


def _values(config: Config, wanted: Weights) -> StateDict:
    """The state dict of weights that are not fresh. Raises WeightsError."""
    expected = blank(plan(config)).state_dict()
    if wanted.source != "torchvision":
        with checkpoints.opened(wanted) as data:
            return weights.read_checkpoint(data, wanted.name, expected)
    return weights.read_torchvision(weights.download(wanted), wanted.name, expected)


def _download(wanted: Weights) -> None:
    """With a bar. Raises WeightsError."""
    bar = st.progress(0.0, f"Downloading {wanted.name} ...")

    def show(done: int, total: int) -> None:
        bar.progress(min(1.0, done / total) if total else 0.0)

    try:
        weights.download(wanted, show)
    finally:
        bar.empty()


def preparation(config: Config, of: Weights) -> Preparation:
    """How a picture becomes this network's input: as its weights were trained, at the network's size."""
    if of.has_card:
        trained = _of_card(config, of)
    else:
        trained = weights.preparation(of)
        if trained is not None and config.input_size != trained.size:
            trained = None
    return trained or standard_preparation(config.input_size, config.channels)


def _of_card(config: Config, of: Weights) -> Preparation | None:
    try:
        return of.card.fit(config.input_size, config.channels, config.classes).preparation
    except CardError:  # the weights' own network is another
        return None


def card(config: Config, of: Weights) -> Card:
    """What is known of these weights in this network, for files that go with them."""
    names = weights.categories(of)
    known = of.source != "fresh" and not doubt(config, of)
    return Card(preparation(config, of) if known else None, names if len(names) == config.classes else ())


def origin_of_preparation(config: Config, of: Weights) -> str:
    """Who says so, in a few words."""
    if of.of_file:
        return "ImageNet's" if _of_card(config, of) is None else "said of this checkpoint"
    if of.has_card:
        return "as they were trained"
    if of.source == "fresh":
        return "ImageNet's, since nothing was trained"
    own = weights.preparation(of) == preparation(config, of)
    return "the recipe of these weights" if own else "ImageNet's, since these weights are for another size"


def doubt(config: Config, of: Weights) -> str:
    """What is not known of how pictures are to be prepared for these weights, in a sentence; "" where it is known."""
    if not of.of_file or _of_card(config, of) is not None:
        return ""
    return (
        f"How pictures were prepared for {of.name} is not known. ImageNet's mean and deviation are taken; where it was "
        "trained with others, its answers mean nothing: say it in the sidebar."
    )
