"""The lines of a forward: what is read once, and short, is written where it is read.

`conv1`, `bn1` and `relu` become one line, `x = F.relu(self.bn1(self.conv1(x)))`: lines end after an activation, a
pool, and what is read twice.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from explorer.plan.kinds import KINDS
from explorer.running.kinds import RUNNING
from explorer.running.text import Read, Text

MOST_CALLS = 4  # in one expression


class Statement(NamedTuple):
    """An operation, or the call of a module."""

    name: str  # of the operation or module
    kind: str  # of the operation; "call" of a module
    text: Text
    inputs: Sequence[str]
    makes: tuple[str | None, ...]  # tensors
    listed: bool = False  # they come as one list
    returned: int = 1  # how many tensors come, of which the last may be of no use


class Statements:
    """Statements put together, in the order in which they run."""

    def __init__(self, statements: Sequence[Statement], outputs: Sequence[str]) -> None:
        self.lines: list[Statement] = []
        self._waiting: dict[str | None, Statement] = {}  # to be written where they are read, by what they make
        uses: Counter[str | None] = Counter(
            [*outputs, *(name for statement in statements for name in statement.inputs)]
        )
        readers = _readers(statements)
        for one in statements:
            whole = one._replace(text=self._inlined(one.text, MOST_CALLS - _calls(one.text)))
            single = "" if one.listed or not len(one.makes) == one.returned == 1 else one.makes[0]
            if uses[single] == 1 and _may_stand_inside(one.kind, readers.get(single, "return")):
                self._waiting[single] = whole
            elif any(name in uses for name in one.makes):
                self.lines.append(whole)
        self.returned = [self._inlined((Read((name,)),), MOST_CALLS + 1) for name in outputs]

    def _inlined(self, text: Text, room: int) -> Text:
        """With waiting expressions in place of the tensors that they make, as long as there is room for their calls;
        those for which there is none become lines.
        """
        parts: list[Text] = []
        for part in text:
            inner = self._waiting.pop(part.values[0], None) if isinstance(part, Read) else None
            if inner and _calls(inner.text) <= room:
                room -= _calls(inner.text)
                parts.append(inner.text)
            else:
                self.lines += [inner] if inner else []
                parts.append((part,))
        return tuple(part for text in parts for part in text)


def tensors_of(text: Text) -> list[str | None]:
    return [name for part in text if isinstance(part, Read) for name in part.values]


def _readers(statements: Sequence[Statement]) -> dict[str | None, str]:
    """The kind of what reads each tensor (the last, if there are more); "list" where it is read in a list."""
    readers: dict[str | None, str] = {}
    for one in statements:
        for part in one.text:
            if isinstance(part, Read):
                readers |= dict.fromkeys(part.values, "list" if part.listed else one.kind)
    return readers


def _may_stand_inside(kind: str, reader: str) -> bool:
    if reader == "return":
        return True
    if kind == "call":
        return reader in KINDS and KINDS[reader].join in ("sum", "gate")
    written_in = RUNNING[kind].written_in
    return reader != "list" and (written_in is None or reader in written_in)


def _calls(text: Text) -> int:
    return sum(part.count("(") for part in text if isinstance(part, str))
