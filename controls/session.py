"""What one visitor has chosen, sent and computed, typed; and the link to it. Nothing else touches session_state.

session.visitor().against = ("plain",)               # typed; each visitor has a Visitor of their own
session.show("level", "Blocks")                      # what the widget with this key is to show when it is drawn
session.entered("level")                             # what it has been set to
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from controls import kept
from explorer import links
from explorer.counting import comparisons as contenders
from explorer.counting.search import Search
from explorer.errors import ExplorerError
from explorer.families import FAMILIES, PRESETS, Config, ConfigError, family_of, knobs, plan
from explorer.learning import trained
from explorer.links import Choice
from explorer.pictures.reading import Picture
from explorer.plan import Plan
from explorer.plan.wiring import computes_otherwise
from explorer.running import devices, project_weights, weights
from explorer.running.calibration import PHOTOGRAPHS, can_be_calibrated
from explorer.running.weights import Weights

# what pages keep in the link beside the network; each checks what it reads
ENTRY = re.compile(r"[a-z][a-z0-9_-]{0,39}")
MOST_ENTRIES, LONGEST_ENTRY = 40, 300  # characters


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights that the visitor has sent, or chosen among those on the server."""

    weights: Weights
    place: str  # the name by which links know the upload, or the one in the server's folder
    plan: Plan  # of the network that they were loaded for
    named: bool = False  # by the file itself, which so says what names and shapes do not


@dataclass(frozen=True)
class FileSaid:
    """What a file was found to be, in a sentence; or why it was not opened, and for which tensors."""

    sentence: str
    refused: bool = False
    misfits: tuple[str, ...] = ()


@dataclass
class Visitor:
    """All that is remembered of one visitor from one run of the script to the next, beside what widgets show."""

    choice: Choice = field(default_factory=links.start)
    before: tuple[frozenset[str], Config] | None = None  # the knobs turned last, and the network before that began
    operation: str | None = None  # the one selected, on whatever page
    runs: set[str] = field(default_factory=set)  # names of those that the visitor has started, or has the link of
    started: set[str] = field(default_factory=set)  # names of those that the visitor has started in this session
    data: set[str] = field(default_factory=set)  # names of data sets that they sent, or have the link of
    deleted: tuple[str, str] = "", ""  # name and title of the run that was deleted last, which may be brought back
    deleted_sweep: tuple[str, str] = "", ""  # likewise
    against: tuple[str, ...] | None = None  # keys of the networks that this one is compared with; None: not chosen
    raw_norms: bool = False  # of fresh weights
    weights: Weights | None = None  # None: the project's, where it has some for the network, else fresh ones
    checkpoint: Checkpoint | None = None
    sent: dict[str, str] = field(default_factory=dict)  # names of uploads in links -> Streamlit's ids of the files
    pictures: dict[str, Picture] = field(default_factory=dict)  # uploaded, by their names in links
    to_open: str = ""  # the key of the widget by which a file was chosen that is not opened yet
    file: FileSaid | None = None  # of the one that was opened last
    refused_pictures: list[str] = field(default_factory=list)  # sentences, shown once under the uploader
    entries: dict[str, str] = field(default_factory=dict)  # of the pages, in the link
    link: dict[str, str] | None = None  # to what is chosen now; None: nothing is read yet
    address: dict[str, str] = field(default_factory=dict)  # what the browser shows of it, which may say less
    page: str = ""  # Streamlit's name of the one that was shown last; "": there was none
    problems: list[str] = field(default_factory=list)  # sentences, shown once at the top of the page
    search: Search | None = None  # the last one of the design space
    searches: int = 0  # each gives its table a new key
    clicks: int = 0  # on charts: each gives them a new key, since a selection belongs to the figure that was clicked
    results: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)  # of long work, by its key
    asked: set[Hashable] = field(default_factory=set)  # keys of those that this run of the page shows
    export: tuple[Hashable, Any] | None = None  # what was asked for last, and its file
    agreed: dict[str, frozenset[Hashable]] = field(default_factory=dict)  # what was started by a click
    stopped: dict[str, frozenset[Hashable]] = field(default_factory=dict)
    settled: OrderedDict[Hashable, int] = field(default_factory=OrderedDict)  # which way of long work was short enough


def visitor() -> Visitor:
    if "visitor" not in st.session_state:
        st.session_state["visitor"] = Visitor()
    found: Visitor = st.session_state["visitor"]
    return found


def identity() -> str:
    """What tells this visitor from all others; "" outside of a server."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else ""


def address() -> str:
    """Where the visitor comes from, the same on all their pages; "" where it is not known, and on the server's own
    machine.
    """
    return st.context.ip_address or ""


def whose() -> Hashable:
    """What the visitor's turns are counted by, where others wait for theirs."""
    return address() or identity()


def go_on() -> None:
    """Ends the script here if its visitor has gone, or has asked for something else meanwhile."""
    visitor()  # each look at the session's state is where Streamlit may do so


# ---- widgets, by their keys ----


def show(key: str, value: Any) -> None:
    """Let a widget that is not yet drawn show a value, whatever it showed before."""
    if st.session_state.get(key) != value:
        st.session_state[key] = value


def begin(key: str, value: Any) -> None:
    """What a widget that is not yet drawn shows until the visitor sets it."""
    if key not in st.session_state:
        st.session_state[key] = value


def entered(key: str, default: Any = None) -> Any:
    """What the visitor has set a widget to; `default` where it has not been drawn yet."""
    return st.session_state.get(key, default)


def tick(key: str, rows: list[int]) -> None:
    """Let a table that is not yet drawn have these rows ticked, whatever was ticked before."""
    if ticked(key) != rows:
        st.session_state[key] = {"selection": {"rows": rows}}


def ticked(key: str) -> list[int]:
    """The rows of a table that are ticked."""
    return list(entered(key, {"selection": {"rows": []}})["selection"]["rows"])


def clicked_row(key: str) -> int | None:
    """The row of a table in which a cell was clicked."""
    cells = entered(key, {}).get("selection", {}).get("cells")
    return cells[0][0] if cells else None


# ---- the network and what belongs to it ----


def choice() -> Choice:
    return visitor().choice


def config() -> Config:
    return choice().config


def current_plan() -> Plan:
    return plan(config())


def problems() -> list[str]:
    """Sentences for the visitor, shown once at the top of the page."""
    return visitor().problems


def attempt(change: Callable[..., object], *arguments: Any) -> None:
    """Do what the library may refuse; the refusal is one of the `problems`."""
    try:
        change(*arguments)
    except ExplorerError as error:
        problems().append(str(error))


def choose(origin: str) -> None:
    """Start anew from a published network. A browser that still shows an older list may send what is none."""
    if origin not in PRESETS:
        problems().append(f"Not changed: {str(origin)[:40]} is not in the list that is shown now; choose again.")
        return
    visitor().choice = links.start(origin)
    visitor().before = None


def choose_config(config: Config) -> None:
    """A network of any family, as it is; it counts as changed from the published one that it differs least from."""
    if choice().config != config:
        visitor().choice = _changed_least(config)
    visitor().before = None


def _changed_least(config: Config) -> Choice:
    presets = family_of(config).presets
    return Choice(min(presets, key=lambda name: len(config.changes(presets[name].config))), config)


def change(**changes: Any) -> None:
    """Turn knobs. What cannot be is refused with a sentence, and the knobs stay where they were."""
    known, names = visitor(), frozenset(changes)
    try:
        turned = config().adapt(**changes)
    except ConfigError as error:
        problems().append(f"Not changed: {error}.")
        return
    if known.before is None or known.before[0] != names:
        known.before = names, config()
    known.choice = choice()._replace(config=turned)


def before_turning() -> Config | None:
    """The network as it was when the knob that was turned last was first touched; None where it is so again."""
    before = visitor().before
    return before[1] if before and before[1] != config() and before[1].family == config().family else None


def operation() -> str | None:
    """The operation that the visitor has selected, if the network has it."""
    name = visitor().operation
    return name if name is not None and name in current_plan() else None


def select_operation(name: str) -> None:
    visitor().operation = name


def unselect_operation() -> None:
    visitor().operation = None


def against() -> tuple[str, ...] | None:
    """The contenders that the network is compared with; None where none was chosen that it has."""
    chosen = visitor().against
    found = tuple(key for key in chosen or () if contenders.find(key, config()))
    return found if found or chosen == () else None


def compare(keys: tuple[str, ...]) -> None:
    visitor().against = keys


def chosen_weights() -> Weights:
    """What the visitor asked for; whether the network can have them is seen when it is built."""
    wanted, checkpoint = visitor().weights, visitor().checkpoint
    if wanted is None:
        own = project_weights.offered(config())
        wanted = own[0] if own else weights.fresh(0, calibrated=True)
    if wanted.calibrated:
        return replace(wanted, calibrated=can_be_calibrated(current_plan(), PHOTOGRAPHS))
    if wanted.source == "run":
        return trained.newest(wanted)
    if not wanted.of_file or checkpoint is None:
        return wanted
    return replace(wanted, moved=bool(computes_otherwise(checkpoint.plan, current_plan())))


def weights_asked_for() -> Weights:
    """As `chosen_weights`; but where the visitor has chosen none, fresh ones, as a network begins to learn."""
    return chosen_weights() if visitor().weights is not None else weights.fresh(0)


def use(wanted: Weights | None) -> None:
    """None leaves it to the network: the project's weights where it has some, else fresh ones."""
    visitor().weights = wanted


def use_fresh(seed: int = 0, calibrated: bool | None = None) -> None:
    """Fresh weights; without an answer to `calibrated`, as the visitor last had them, and at first calibrated."""
    known = visitor()
    known.raw_norms = known.raw_norms if calibrated is None else not calibrated
    use(weights.fresh(seed, calibrated=not known.raw_norms))


def device() -> str:
    """The device that runs this visitor's networks: the one chosen, or the fastest."""
    name: str = entered("device") or devices.devices()[0].name
    return name


def remember_search(found: Search) -> None:
    visitor().search = found
    visitor().searches += 1


# ---- the link ----


def entry(name: str) -> str | None:
    """What the link says under a name that a page has given to a choice; None where it says nothing."""
    return visitor().entries.get(name)


def entries() -> dict[str, str]:
    """All that pages keep in the link."""
    return dict(visitor().entries)


def keep_entry(name: str, value: str | None) -> None:
    """Have the link carry this; None takes it out."""
    visitor().entries.pop(name, None)
    if value is not None:
        visitor().entries[name] = value


def read_link(take_file: Callable[[str], None] = lambda name: None) -> None:
    """Take over what the address says: at the start, where the visitor has gone back or forward in the browser, and
    where a link of ours has led to another page. `take_file` gets what it says of weights in a file.

    At other times it is what the browser showed some quick key presses ago.
    """
    params, known = st.query_params.to_dict(), visitor()
    led_here = params and params != known.address and _turned_page()
    if known.link is not None and not _went() and not led_here:
        return
    known.address = params
    _take_over(params, take_file)
    known.link = _link()


def open_link(params: Mapping[str, str]) -> None:
    """Set everything up as a link of ours says, on the page that is shown; `write_link` then tells the browser."""
    _take_over(params, lambda name: None)


def _take_over(params: Mapping[str, str], take_file: Callable[[str], None]) -> None:
    known = visitor()
    known.choice, found = links.read(params)
    known.before = None
    problems().extend(found)
    known.operation = params.get("op")
    if known.operation is not None and known.operation not in current_plan():
        problems().append(f"The link names an operation {known.operation[:60]!r} that this network does not have.")
    known.against = _against_of(params)
    known.entries = _entries_of(params)
    known.raw_norms = params.get("norms") == RAW
    known.weights = None
    if kept.NAME.fullmatch(named := params.get("weights", "")) or named.startswith(FILE):
        take_file(named)
    else:
        known.weights = _weights_of(params)
    st.session_state["weights.source"] = ""  # shows what the link says


def write_link() -> None:
    """Let the browser's address tell the whole state; one change of it is one step back in the browser.

    To be called before the page is known to the browser: it then goes there with the address that it has, and has gone
    one step. An address that has just been read stays as it is, though there may be a longer one that says the same.
    """
    known, link = visitor(), _link()
    if link != known.link:
        known.address = link
    known.link = link  # first, since the script may be interrupted where it tells the browser
    # where it went back, the answer to what was asked before may have come in between
    if _went() or st.query_params.to_dict() != known.address:
        st.query_params.from_dict(known.address)


def link() -> dict[str, str]:
    """To all that is chosen, as last written."""
    return visitor().link or {}


def arrived() -> None:
    """The page of this run is known, and shows nothing yet."""
    visitor().page = _page()
    visitor().asked.clear()


def link_to(config: Config, wanted: Weights) -> dict[str, str]:
    """A link to another network, with weights that a link can name; for the rest as it is here."""
    kept = {"op": name} if (name := visitor().operation) and name in plan(config) else {}
    named = {"weights": LINKED[wanted.source](wanted.identity)}
    return links.write(_changed_least(config)) | named | kept | visitor().entries


def _link() -> dict[str, str]:
    link = links.write(choice())
    wanted = chosen_weights()
    if wanted.source in LINKED:
        link["weights"] = LINKED[wanted.source](wanted.identity)
    elif wanted.of_file and (checkpoint := visitor().checkpoint):
        link["weights"] = checkpoint.place if wanted.source == "uploaded" else FILE + checkpoint.place
    elif wanted.source == "fresh":
        link |= {"weights": FRESH} if project_weights.offered(config()) else {}
        link |= {"seed": wanted.identity} if wanted.identity != "0" else {}
        link |= {"norms": RAW} if visitor().raw_norms else {}
    if name := operation():
        link["op"] = name
    if (keys := against()) is not None:
        link["against"] = ".".join(keys) or NOBODY
    return link | visitor().entries


def _went() -> bool:
    """Back or forward in the browser."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def _turned_page() -> bool:
    return visitor().page not in ("", _page())


def _page() -> str:
    context = get_script_run_ctx()
    return context.page_script_hash if context else ""


@lru_cache(maxsize=1)
def reserved() -> frozenset[str]:
    """Names in the link that are not a page's: the network's own, of whatever family."""
    own = {knob.name for family in FAMILIES.values() for knob in knobs(family.config)}
    return frozenset({"network", "op", "against", "weights", "seed", "norms", *own})


def _entries_of(params: Mapping[str, str]) -> dict[str, str]:
    own = reserved()
    names = [name for name in params if ENTRY.fullmatch(name) and name not in own][:MOST_ENTRIES]
    return {name: params[name][:LONGEST_ENTRY] for name in names}


NOBODY = "none"  # in the link: compared with no other network, not even where a page would


def _against_of(params: Mapping[str, str]) -> tuple[str, ...] | None:
    if params.get("against") == NOBODY:
        return ()
    keys = [key for key in params.get("against", "")[:1000].split(".") if key]
    known = [key for key in dict.fromkeys(keys) if contenders.find(key, config())]
    if missing := [key for key in keys if key not in known]:
        problems().append(f"The link compares with {missing[0][:40]!r}, which this network cannot be compared with.")
    return tuple(known[: contenders.MOST]) or None


MOST_SEED = 2**31 - 1
FILE = "file-"  # in the link: before the name of weights in the server's folder
RAW, FRESH = "raw", "fresh"  # in the link: norms of fresh weights as they are drawn; fresh weights
# sources of weights that a link can name, and what it says of them
LINKED: Mapping[str, Callable[[str], str]] = {
    "torchvision": str,
    "project": lambda identity: identity.rpartition("-")[2],  # the data set
    "run": lambda identity: identity.partition(".")[0],  # its name; the link shows the newest checkpoint
}


def _weights_of(params: Mapping[str, str]) -> Weights | None:
    if named := params.get("weights", ""):
        for found in (*weights.offered(config()), *project_weights.offered(config())):
            if LINKED[found.source](found.identity) == named:
                return found
        if named != FRESH:
            if of_run := trained.linked(named, config()):
                visitor().runs.add(named)
                return of_run
            problems().append(f"The link names weights {named[:60]!r} that are not for this network.")
    elif not {"seed", "norms"} & params.keys():
        return None
    seed = params.get("seed", "0")
    if not seed.isascii() or not seed.isdigit() or len(seed) > 10 or int(seed) > MOST_SEED:
        problems().append(f"The link's seed {seed[:20]!r} is not a number from 0 to {MOST_SEED}; this is 0 instead.")
        seed = "0"
    return weights.fresh(int(seed), calibrated=not visitor().raw_norms)
