"""Which parts of the network are switched off? One choice, which the link carries while the parts are there."""

from collections.abc import Collection

from controls import session
from controls.choices import Names
from explorer.plan import Plan
from explorer.plan.lesions import Lesion, LesionError, Lesions, Part, lesioned, parts

OFF, CUT = Names("off"), Names("cut")  # branches, blocks or layers; shortcuts
CHOICES: dict[Lesion, Names] = {"branch": OFF, "shortcut": CUT}


def chosen(plan: Plan) -> Lesions:
    """In the order in which they run."""
    if not _linked():
        return Lesions()
    found = parts(plan)
    return Lesions(_chosen(found, "branch"), _chosen(found, "shortcut"))


def choose(plan: Plan, lesion: Lesion, among: Collection[str], names: Collection[str]) -> bool:
    """Take away the lesion of these parts, and of no others `among` them. Where a part would lose both branch and
    shortcut, it keeps what was taken away before. False where the link has no room for as many.
    """
    found = parts(plan)
    wanted = {*_chosen(found, lesion)} - {*among} | {*names}
    _keep(CHOICES[lesion], wanted, _admitting(found, lesion))
    for other, choice in CHOICES.items():
        if other != lesion:
            _keep(choice, {*_chosen(found, other)} - {*names}, _admitting(found, other))
    return {*_chosen(found, lesion)} == wanted


def forget() -> None:
    for choice in CHOICES.values():
        choice.forget()


def keep_to(plan: Plan) -> None:
    """Of parts that the network has no more the link says nothing, nor of what would leave nothing, which is said."""
    if _linked():
        found = parts(plan)
        for lesion, choice in CHOICES.items():
            _keep(choice, _chosen(found, lesion), _admitting(found, lesion))
        try:
            lesioned(plan, *chosen(plan))
        except LesionError as refusal:
            session.problems().append(str(refusal))
            forget()


def _linked() -> bool:
    return any(session.entry(choice.name) is not None for choice in CHOICES.values())


def _chosen(found: Collection[Part], lesion: Lesion) -> tuple[str, ...]:
    known = _admitting(found, lesion)
    named = CHOICES[lesion].value(known) or ()
    return tuple(name for name in known if name in named)


def _admitting(found: Collection[Part], lesion: Lesion) -> list[str]:
    return [part.name for part in found if lesion in part.lesions]


def _keep(choice: Names, names: Collection[str], known: Collection[str]) -> None:
    if names:
        choice.set(names, known)
    else:
        choice.forget()
