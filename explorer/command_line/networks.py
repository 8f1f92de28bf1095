"""Which network a word stands for: a preset, a link copied from the browser, a configuration or a checkpoint."""

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from explorer import links
from explorer.command_line.program import PROGRAM, CommandError
from explorer.families import PRESETS, Config, ConfigError, describe, parse

CHECKPOINTS = (".safetensors", ".pt", ".pth")


class Network(NamedTuple):
    """A network that was asked for: what its name stands for, and what the options made of it."""

    name: str
    origin: Config
    config: Config

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """Field -> (value in `origin`, value in `config`), where they differ."""
        return self.config.changes(self.origin)

    @property
    def changes_in_words(self) -> str:
        """growth_rate 32 → 24, classes 1000 → 10"""
        return ", ".join(f"{name} {describe(was)} → {describe(now)}" for name, (was, now) in self.changes.items())


def find(word: str) -> Network:
    """Raises CommandError; what of a link cannot be used is told on stderr."""
    if word in PRESETS:
        return Network(word, PRESETS[word], PRESETS[word])
    if is_link(word):
        return _from_link(word)
    if word.endswith(CHECKPOINTS):
        return _from_checkpoint(word)
    if word.endswith(".json") or os.path.isfile(word):
        return _from_file(word)
    from difflib import get_close_matches

    close = get_close_matches(word, PRESETS, n=3)
    hint = f"there is {' or '.join(close)}" if close else f"`{PROGRAM} presets` lists them"
    raise CommandError(f"There is no network {word[:60]!r}; {hint}.")


def is_link(word: str) -> bool:
    return "://" in word or "?" in word or word.startswith("network=")


def _from_link(link: str) -> Network:
    from urllib.parse import parse_qsl

    query = link.partition("?")[2] if "?" in link else "" if "://" in link else link
    choice, problems = links.read(dict(parse_qsl(query.partition("#")[0], keep_blank_values=True)))
    for problem in problems:
        print(problem, file=sys.stderr)
    return Network(choice.origin, PRESETS[choice.origin], choice.config)


def _from_checkpoint(path: str) -> Network:
    """The network that has a file's tensors; how it was found is told on stderr."""
    from explorer.running.checkpoints import on_disk  # here, since it imports torch
    from explorer.running.opening import find_network

    file = Path(path)
    try:
        with on_disk(file.resolve()) as data:
            found = find_network(data, file.name)
    except OSError as error:
        raise _unreadable(path, error) from None
    print(found.said, file=sys.stderr)
    return Network(file.stem, found.config, found.config)


def _unreadable(path: str, error: OSError) -> CommandError:
    return CommandError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.")


def _from_file(path: str) -> Network:
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ValueError, RecursionError):
        raise CommandError(f"{path} is not JSON.") from None
    if not isinstance(data, dict):
        raise CommandError(f'{path} holds no network: {{"family": "resnet", ...}} is what `export` writes.')
    try:
        config = parse(data)
    except ConfigError as error:
        raise CommandError(f"{path}: {error}.") from None
    name = os.path.splitext(os.path.basename(path))[0]
    return Network(name, config, config)
