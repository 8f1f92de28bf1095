"""Train a network: start a run in a directory, or go on with the one that is there."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from explorer.command_line.networks import find
from explorer.command_line.parser import Parser
from explorer.command_line.program import CommandError
from explorer.families import describe
from explorer.wording import clean

USAGE = "train DIR"
SUMMARY = "train a network, or go on: a run is a directory"


def run(words: Sequence[str]) -> None:
    parser = Parser(
        "train",
        "Train the run in DIR: from the beginning where there is none yet, else from its last checkpoint. Ctrl-C keeps "
        "a checkpoint.",
    )
    parser.add_argument("directory", metavar="DIR", help="the run's directory")
    parser.add_argument("--network", default="", metavar="NAME", help="of a new run: a preset, a link, or a .json file")
    parser.add_argument("--fit", action="store_true", help="change the network so that it fits the data")
    parser.add_argument("--data", default="", metavar="NAME", help="of a new run: a data set (default: shapes)")
    parser.add_argument("--recipe", default="", metavar="NAME", help="of a new run (default: quick)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KNOB=VALUE",
        help="turn a knob of the recipe or of the network, or set images, threads, device, most_seconds, title, or "
        "keep_path: how many times the weights are kept on the way",
    )
    parser.add_argument("--tensorboard", action="store_true", help="write events for TensorBoard too")
    parser.add_argument("--in-line", action="store_true", help="wait until one of the machine's places is free")
    arguments = parser.parse_args(list(words))
    from explorer.learning import line, runs, worker

    if arguments.in_line:
        line.give_way()

    path = Path(arguments.directory).expanduser().absolute()
    changes = _changes(arguments.set)
    asked = {name: getattr(arguments, name) for name in ("network", "data", "recipe") if getattr(arguments, name)}
    try:
        begun = (path / runs.CONFIG).exists()
        if not begun:
            _start(path, asked, changes, arguments)
        elif asked or arguments.tensorboard or arguments.fit:
            words = [*asked, *(word for word in ("fit", "tensorboard") if getattr(arguments, word))]
            raise CommandError(f"{path} holds a run already: leave out {', '.join(f'--{word}' for word in words)}.")
        ended = worker.train(path, arguments.in_line, changes={} if not begun else changes)
    except OSError as error:  # a name that is too long, a disk that has gone
        raise CommandError(f"{path} is no place for a run: {(error.strerror or str(error)).lower()}.") from None
    if ended == "failed":
        raise CommandError(f"{path.name} failed: {runs.status(path).message}")


def _changes(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for name, equals, _ in pairs:
        if not equals:
            raise CommandError(f"--set {clean(name)!r}: write it as KNOB=VALUE.")
    return {name: value for name, _, value in pairs}


def _start(path: Path, asked: Mapping[str, str], changes: Mapping[str, str], arguments: Namespace) -> None:
    from explorer.learning import datasets, runs
    from explorer.learning.job import Job, fitting_threads
    from explorer.learning.recipe import QUICK, RECIPES
    from explorer.running.devices import devices

    if "network" not in asked:
        raise CommandError("Say which network is to be trained: --network NAME.")
    recipe = asked.get("recipe", QUICK)
    if recipe not in RECIPES:
        raise CommandError(f"There is no recipe {clean(recipe)!r}; there are {', '.join(RECIPES)}.")
    network, data = find(asked["network"]), asked.get("data", "shapes")
    job = Job(
        network.config,
        data,
        RECIPES[recipe].recipe,
        device=devices()[0].name,
        threads=fitting_threads(),
        tensorboard=arguments.tensorboard,
    ).turned(changes)
    source = datasets.find(job.data)
    if misfits := source.misfits(job.config):
        fit = source.fit(job.config)
        if not arguments.fit:
            knobs = " ".join(f"{name}={describe(value)}" for name, value in fit.items())
            raise CommandError(
                f"{network.name} does not fit {source.title}, which needs {' and '.join(misfits)}: --fit sets {knobs}."
            )
        job = replace(job, config=job.config.adapt(**fit))
    runs.create(job, path)
