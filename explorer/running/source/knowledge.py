"""What is known of the weights that go with the file: how pictures are prepared for them, and the classes' names."""

from collections.abc import Iterator

from explorer.pictures.preparation import Preparation, described
from explorer.running.card import Card
from explorer.running.source.layout import WIDTH

PREPARE = '''def prepare(pixels: Tensor) -> Tensor:
    """Pixels 0..255 of such pictures, (N, {channels}, {size}, {size}), as the network gets them."""
    mean, std = torch.tensor(MEAN).view(-1, 1, 1), torch.tensor(STD).view(-1, 1, 1)
    return (pixels / 255 - mean) / std'''


def knowledge(card: Card) -> Iterator[str]:
    """Constants and a function of the file; nothing for what is not known."""
    if card.preparation:
        yield _preparation(card.preparation)
        yield PREPARE.format(channels=card.preparation.channels, size=card.preparation.size)
    if card.classes:
        yield "\n".join(["CLASSES = (", *_lines(card.classes), ")"])


def _preparation(known: Preparation) -> str:
    return (
        f"# Pictures of these weights: {described(known)}.\nRESIZE, SIZE, INTERPOLATION = "
        f'{known.resize}, {known.size}, "{known.interpolation}"\nMEAN, STD = {known.mean}, {known.std}'
    )


def _lines(names: tuple[str, ...]) -> Iterator[str]:
    """As many names a line as fit."""
    line = ""
    for name in names:
        word = f"{_quoted(name)},"
        if line and len(line) + len(word) + 5 > WIDTH:
            yield f"    {line}"
            line = ""
        line = f"{line} {word}".strip()
    yield f"    {line}"


def _quoted(name: str) -> str:
    text = repr(name)
    return f'"{name}"' if text == f"'{name}'" and '"' not in name else text
