"""A control bound to the link: declared once, drawn in one line, and what it is set to stands in the address.

    STEPS = OneOf("steps", 50, (8, 16, 50, 100))         # a link may say ?steps=16
    METHODS = SeveralOf("methods", ("saliency",), tuple(TITLES), most=6)    # ?methods=saliency.occlusion
    SEED = Whole("draw", 0, least=0, most=2**31 - 1)
    RELU = Switch("relu", True)                          # ?relu=off
    OPENED = Names("opened")                             # ?opened=layer1.layer2_0, with controls of the page's own

    steps = STEPS.select(box[0], "Steps", help="Of the path from baseline to image.")
    STEPS.value()                                        # without drawing it
    st.button("More steps", on_click=STEPS.set, args=(100,))

A link may say anything: what is none of the options or out of range counts as the default. Options, range and default
may depend on the network: then they are given where the choice is drawn. The declared default is left out of the link;
one that is given where the choice is drawn is not, once the visitor has chosen it. Two choices of one name are one and
the same, on all pages.
"""

import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from controls import session

T = TypeVar("T", bound=Hashable)
Title = Callable[[T], str]

BETWEEN = "."  # the values of a set, in the link
NOTHING = "none"  # in the link: a set that is empty, where the default is not
ALL = "all"  # in the link: of parts of a network, all but the following
ODD = re.compile(r"[^A-Za-z0-9-]")
WHOLE = re.compile(r"-?[0-9]{1,15}")
REAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?(e-?[0-9]{1,2})?")


class Place(Protocol):
    """Where a control is drawn: `st` itself, or a column or container."""

    @property
    def selectbox(self) -> Callable[..., Any]: ...
    @property
    def segmented_control(self) -> Callable[..., Any]: ...
    @property
    def multiselect(self) -> Callable[..., Any]: ...
    @property
    def number_input(self) -> Callable[..., Any]: ...
    @property
    def slider(self) -> Callable[..., Any]: ...
    @property
    def text_input(self) -> Callable[..., Any]: ...
    @property
    def toggle(self) -> Callable[..., Any]: ...


def key_of(name: str) -> str:
    """The widget's key, of which tests make use too."""
    return f"link.{name}"


def _text(value: object) -> str:
    """A value in the link; None, which may be among the options, is no text."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else str(value)


def _keep(name: str, text: str, default: str) -> None:
    session.keep_entry(name, None if text == default else text)


def _unique(options: Sequence[T], title: Title[T]) -> Title[T]:
    """Titles by which a browser can tell options apart: ImageNet has two classes called crane."""
    titles = [title(option) for option in options]
    twice = {one for one in titles if titles.count(one) > 1} if len(set(titles)) < len(titles) else set()
    return lambda option: f"{title(option)} ({_text(option)})" if title(option) in twice else title(option)


def _index(options: list[T | str], shown: T | str) -> dict[str, Any]:
    """What a box begins with, where a browser draws it later than the run that has set it: in a popover, say."""
    return {"index": options.index(shown)}


def _default(_: list[T | str], shown: T | str) -> dict[str, Any]:
    return {"default": shown}


@dataclass(frozen=True)
class OneOf(Generic[T]):
    """One of several values; each is told from the others by its text."""

    name: str
    default: T
    options: Sequence[T] = ()

    def value(self, options: Sequence[T] = (), default: T | None = None) -> T:
        by_text = {_text(option): option for option in options or self.options}
        otherwise = _text(self.default if default is None else default)
        for text in (session.entry(self.name) or otherwise, otherwise):
            if text in by_text:
                return by_text[text]
        return next(iter(by_text.values()))

    def in_link(self) -> str:
        """What the link says, which may be none of the options."""
        return session.entry(self.name) or ""

    def set(self, value: T) -> None:
        _keep(self.name, _text(value), _text(self.default))

    def select(
        self,
        at: Place,
        label: str,
        options: Sequence[T] = (),
        default: T | None = None,
        title: Title[T] = str,
        **style: Any,
    ) -> T:
        """A box in which one can search; `style` goes to Streamlit's selectbox."""
        options = options or self.options
        return self._draw(at.selectbox, label, options, default, _unique(options, title), _index, **style)

    def segments(
        self,
        at: Place,
        label: str,
        options: Sequence[T] = (),
        default: T | None = None,
        title: Title[T] = str,
        **style: Any,
    ) -> T:
        """All options side by side; `style` goes to Streamlit's segmented_control."""
        options = options or self.options
        return self._draw(at.segmented_control, label, options, default, title, _default, required=True, **style)

    def _draw(
        self,
        widget: Callable[..., Any],
        label: str,
        options: Sequence[T],
        default: T | None,
        title: Title[T],
        begin: Callable[[list[T | str], T | str], dict[str, Any]],
        **style: Any,
    ) -> T:
        key, value = key_of(self.name), self.value(options, default)

        def chosen() -> None:
            if (
                session.entered(key) not in titles
            ):  # as a browser may send it that has other options than the page by now
                return
            # a default that was given for this network alone is kept in the link
            _keep(self.name, _text(session.entered(key)), _text(self.default) if default is None else "")

        # to Streamlit None is no option but the lack of a choice
        given: list[T | str] = ["" if option is None else option for option in options]
        titles = dict(zip(given, map(title, options), strict=True))
        shown: T | str = "" if value is None else value
        session.show(key, shown)
        widget(
            label,
            given,
            key=key,
            format_func=titles.__getitem__,
            on_change=chosen,
            **begin(given, shown),
            **style,
        )
        return value


class Titled(Protocol):
    @property
    def title(self) -> str: ...


def choose_newest(choice: OneOf[str], at: Place, label: str, known: Mapping[str, Titled]) -> str:
    """One of things by their names, the newest first, in a box of their titles: the link's, else the newest."""
    return choice.select(
        at,
        label,
        tuple(known),
        next(iter(known)),
        title=lambda one: known[one].title,
        help="Its name in the link opens it.",
    )


@dataclass(frozen=True)
class SeveralOf(Generic[T]):
    """Several values in order, each once; at most `most` of them."""

    name: str
    default: tuple[T, ...]
    options: Sequence[T] = ()
    most: int = 20

    def value(self, options: Sequence[T] = ()) -> tuple[T, ...]:
        by_text = {_text(option): option for option in options or self.options}
        entry = session.entry(self.name)
        if entry is None:
            return tuple(value for value in self.default if _text(value) in by_text)
        wanted = dict.fromkeys(text for text in entry.split(BETWEEN) if text in by_text)
        return tuple(by_text[text] for text in wanted)[: self.most]

    def set(self, values: Sequence[T]) -> None:
        _keep(self.name, self._written(values), self._written(self.default))

    def select(
        self, at: Place, label: str, options: Sequence[T] = (), title: Title[T] = str, **style: Any
    ) -> tuple[T, ...]:
        """A box that takes several; `style` goes to Streamlit's multiselect."""
        options = options or self.options
        key, values = key_of(self.name), self.value(options)
        session.show(key, list(values))
        at.multiselect(
            label,
            options,
            list(values),
            key=key,
            format_func=_unique(options, title),
            max_selections=self.most,
            on_change=lambda: self.set(session.entered(key)),
            **style,
        )
        return values

    def _written(self, values: Sequence[T]) -> str:
        return BETWEEN.join(map(_text, values)) or NOTHING


@dataclass(frozen=True)
class Names:
    """A set of the network's parts, as many as a link has room for; a page draws what they are chosen by.

    Those that the network does not have are passed over. Of a set of nearly all, those that are not in it are written.
    """

    name: str

    def value(self, known: Collection[str]) -> frozenset[str] | None:
        """Those of them that are known; None where none has been chosen yet."""
        entry = session.entry(self.name)
        if entry is None:
            return None
        first, *more = entry.split(BETWEEN)
        named = frozenset(name for name in known if _short(name) in {first, *more})
        return frozenset(known) - named if first == ALL else named

    def set(self, values: Collection[str], known: Collection[str]) -> None:
        """Those whose names come first, where there is no room for all."""
        missing = set(known) - set(values)
        most = len(missing) < len(values)
        text = ALL if most else ""
        for value in sorted(missing if most else values):
            longer = f"{text}{BETWEEN}{_short(value)}" if text else _short(value)
            text = longer if len(longer) <= session.LONGEST_ENTRY else text
        session.keep_entry(self.name, text or NOTHING)

    def forget(self) -> None:
        """Until some are chosen again, none has been chosen."""
        session.keep_entry(self.name, None)


def _short(name: str) -> str:
    """A part's name as it is among others in a link: layer2_0 of layer2.0."""
    return ODD.sub("_", name)


@dataclass(frozen=True)
class Whole:
    """A whole number in a range, both ends included. Where its default is given as it is drawn, the declared one is out
    of range, so that what a visitor enters stands in the link, whatever it is.
    """

    name: str
    default: int
    least: int = 0
    most: int = 10**15 - 1

    def value(self, least: int | None = None, most: int | None = None, default: int | None = None) -> int:
        low, high = self.least if least is None else least, self.most if most is None else most
        entry, otherwise = session.entry(self.name) or "", self.default if default is None else default
        found = int(entry) if WHOLE.fullmatch(entry) else otherwise
        return found if low <= found <= high else min(max(otherwise, low), high)

    def set(self, value: int) -> None:
        _keep(self.name, _text(value), _text(self.default))

    def forget(self) -> None:
        """As if it had never been chosen."""
        session.keep_entry(self.name, None)

    def number(
        self,
        at: Place,
        label: str,
        least: int | None = None,
        most: int | None = None,
        default: int | None = None,
        **style: Any,
    ) -> int:
        """A field to type in; `style` goes to Streamlit's number_input."""
        return self._draw(at.number_input, label, least, most, default, **style)

    def slider(self, at: Place, label: str, least: int | None = None, most: int | None = None, **style: Any) -> int:
        """`style` goes to Streamlit's slider."""
        return self._draw(at.slider, label, least, most, None, **style)

    def _draw(
        self,
        widget: Callable[..., Any],
        label: str,
        least: int | None,
        most: int | None,
        default: int | None,
        **style: Any,
    ) -> int:
        key, value = key_of(self.name), self.value(least, most, default)
        low, high = self.least if least is None else least, self.most if most is None else most
        session.show(key, value)
        widget(label, low, high, value, key=key, on_change=lambda: self.set(session.entered(key)), **style)
        return value


@dataclass(frozen=True)
class Real:
    """A number in a range, both ends included."""

    name: str
    default: float
    least: float
    most: float

    def value(self) -> float:
        entry = session.entry(self.name) or ""
        found = float(entry) if REAL.fullmatch(entry) else self.default
        return found if self.least <= found <= self.most else self.default

    def set(self, value: float) -> None:
        _keep(self.name, _text(value), _text(self.default))

    def number(self, at: Place, label: str, **style: Any) -> float:
        """A field to type in; `style` goes to Streamlit's number_input."""
        return self._draw(at.number_input, label, **style)

    def slider(self, at: Place, label: str, **style: Any) -> float:
        """`style` goes to Streamlit's slider."""
        return self._draw(at.slider, label, **style)

    def _draw(self, widget: Callable[..., Any], label: str, **style: Any) -> float:
        key, value = key_of(self.name), self.value()
        session.show(key, value)
        widget(label, self.least, self.most, value, key=key, on_change=lambda: self.set(session.entered(key)), **style)
        return value


@dataclass(frozen=True)
class Text:
    """A few words, of at most `most` characters; where they are emptied, the default, if one is given where the field
    is drawn.
    """

    name: str
    most: int = 60

    def value(self, default: str = "") -> str:
        return (session.entry(self.name) or default)[: self.most]

    def set(self, value: str) -> None:
        _keep(self.name, value[: self.most], "")

    def field(self, at: Place, label: str, default: str = "", **style: Any) -> str:
        """`style` goes to Streamlit's text_input."""
        key, value = key_of(self.name), self.value(default)
        session.show(key, value)
        at.text_input(label, value, self.most, key=key, on_change=lambda: self.set(session.entered(key) or ""), **style)
        return value


@dataclass(frozen=True)
class Switch:
    """On or off."""

    name: str
    default: bool = False

    def value(self) -> bool:
        return {"on": True, "off": False}.get(session.entry(self.name) or "", self.default)

    def set(self, value: bool) -> None:
        _keep(self.name, _text(value), _text(self.default))

    def toggle(self, at: Place, label: str, **style: Any) -> bool:
        """`style` goes to Streamlit's toggle."""
        key, value = key_of(self.name), self.value()
        session.show(key, value)
        at.toggle(label, value, key=key, on_change=lambda: self.set(session.entered(key)), **style)
        return value
