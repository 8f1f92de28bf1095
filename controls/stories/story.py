"""What a guided story is: a question, and a few steps that answer it on the pages that there are."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A page as a link sets it up, and what is to be seen there.

    `page` is its title in the navigation; `link` has the network and the page's own choices, written as the page
    itself writes them. Each number in `text` stands on the page, or its paper and place are named.
    """

    page: str
    link: Mapping[str, str]
    text: str
    look: str  # at what, or what to do
    heading: str = ""  # of the part of the page that this is in, where one has to scroll to it


@dataclass(frozen=True)
class Story:
    question: str
    steps: tuple[Step, ...]
