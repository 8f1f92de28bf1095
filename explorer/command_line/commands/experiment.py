"""Put a claim of the literature to the test: train its networks, measure, and say what holds here."""

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.command_line.parser import Parser
from explorer.command_line.program import CommandError

if TYPE_CHECKING:
    from explorer.experiments import Experiment
    from explorer.experiments.results import Results

USAGE = "experiment [NAME]"
SUMMARY = "put a claim of the literature to the test; without a name: which there are"


def run(words: Sequence[str]) -> None:
    parser = Parser(
        "experiment",
        "Train the networks of an experiment, measure them, and give a verdict. They are ordinary runs, in the runs' "
        "folder. Ctrl-C keeps what is measured; --resume goes on.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="an experiment; all are listed without it")
    parser.add_argument("--seeds", type=int, default=0, metavar="N", help="with how many seeds (default: its own)")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="how many times as long networks learn")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="to train on (default: cpu)")
    parser.add_argument("--processes", type=int, default=0, metavar="N", help="networks at once (default: the cores)")
    parser.add_argument("--output", default="", metavar="FILE", help="keep the results in a .json file too")
    parser.add_argument("--resume", default="", metavar="DIR", help="go on with a directory that was printed before")
    parser.add_argument(
        "--as-sweep", default="", metavar="FILE", help="write its networks and seeds as a sweep's .json"
    )
    parser.add_argument("--of-sweep", default="", metavar="DIR", help="measure the runs of such a sweep; train nothing")
    parser.add_argument("--in-line", action="store_true", help="wait until one of the machine's places is free")
    arguments = parser.parse_args(list(words))
    from explorer.experiments import EXPERIMENTS, carrying_out, record
    from explorer.experiments.results import shipped
    from explorer.learning import line, runs

    if arguments.in_line:
        line.give_way()
    if arguments.as_sweep or arguments.of_sweep:
        _by_sweep(record.find(arguments.name or ""), arguments)
        return
    if arguments.resume:
        begun = record.read(Path(arguments.resume).expanduser().absolute())
        if not arguments.in_line:  # whoever put it in line has done so before, and may have asked for a stop since
            runs.take_back_stop(begun.path)
    elif arguments.name:
        experiment = record.find(arguments.name)
        begun = record.create(experiment, arguments.seeds or experiment.seeds, arguments.scale, arguments.device)
        print(begun.path)
    else:
        for experiment in EXPERIMENTS.values():
            known = shipped(experiment.name)
            said = (
                [f"{title}: {verdict.answer}" for title, verdict in experiment.verdicts(known).items()] if known else []
            )
            print(f"{experiment.name:15} {experiment.question}", *said, sep="\n                ")
        return
    state = carrying_out.carry_out(begun.path, print, arguments.in_line, max(0, arguments.processes))
    _say(begun.experiment, begun.results, arguments.output)
    if state == "failed":
        raise CommandError(runs.status(begun.path).message)


def _by_sweep(experiment: "Experiment", arguments: Namespace) -> None:
    from explorer.experiments import swept
    from explorer.learning.sweeps import directory

    if arguments.as_sweep:
        found = swept.as_sweep(experiment, arguments.seeds or experiment.seeds, arguments.scale, arguments.device)
        _write(arguments.as_sweep, json.dumps(found, indent=1))
        return
    swept_in = directory.read(Path(arguments.of_sweep).expanduser().absolute())
    _say(experiment, swept.of_sweep(experiment, swept_in, arguments.scale, print), arguments.output)


def _say(experiment: "Experiment", results: "Results", output: str) -> None:
    """The verdicts with their numbers, and the results in a file where that is asked for."""
    if output:
        _write(output, results.to_json())
    verdicts = experiment.verdicts(results)
    for claim in experiment.claims:
        verdict = verdicts[claim.title]
        print(f"{claim.title}: {verdict.answer}. {verdict.because}\n  Rule: {claim.rule}")


def _write(output: str, text: str) -> None:
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{output} cannot be written ({error.strerror or error}).") from None
