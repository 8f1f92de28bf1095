"""The search of the design space, where no page waits for it."""

from collections.abc import Callable
from functools import partial

from controls import work
from explorer.counting import search
from explorer.counting.question import Question
from explorer.counting.search import Search
from explorer.families import Config

Tell = Callable[[Search], None]


def carry_out(config: Config, names: tuple[str, ...], question: Question, seconds: float, tell: Tell) -> Search:
    """What is found at the end; `tell` gets now and then what there is so far. Raises SearchError."""
    return work.carry_out(partial(_search, config, names, question, seconds), tell)


def _search(config: Config, names: tuple[str, ...], question: Question, seconds: float, tell: Tell) -> Search:
    for found in search.searching(config, names, question, seconds=seconds):
        tell(found)
    return found
