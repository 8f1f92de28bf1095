"""Train many networks that differ in some knobs, on this machine or on a cluster, and say what came of them."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.command_line.parser import Parser
from explorer.command_line.program import PROGRAM, CommandError
from explorer.wording import clean, duration

if TYPE_CHECKING:
    from explorer.learning.sweeps.directory import Directory
    from explorer.learning.sweeps.engines import Where
    from explorer.learning.sweeps.sweep import Sweep

USAGE = "sweep [FILE | DIR]"
SUMMARY = "train many networks that differ in some knobs; without a name: list sweeps"
MOST_SHOWN = 20  # failed trials, and reasons


def run(words: Sequence[str]) -> None:
    parser = Parser(
        "sweep",
        "FILE says what is swept (docs/sweeps.md); its directory in the runs' folder is printed, and each trial in it "
        "is an ordinary run. DIR goes on with one. Ctrl-C keeps what is trained.",
    )
    parser.add_argument("what", nargs="?", default="", metavar="FILE | DIR", help="a .toml or .json file; a directory")
    parser.add_argument("--show", action="store_true", help="say what it is, what it costs, what failed; train nothing")
    parser.add_argument("--into", default="", metavar="DIR", help="add the trials of FILE to those of a sweep")
    parser.add_argument("--again", action="store_true", help="train those trials of DIR once more that have failed")
    parser.add_argument("--budget", type=float, default=-1, metavar="S", help="seconds of training of all, 0: no limit")
    parser.add_argument("--trial", type=int, default=-1, metavar="N", help="print the command that trains trial N anew")
    parser.add_argument("--output", default="", metavar="FILE", help="write the results to a .csv or .parquet file")
    parser.add_argument("--on", default="", metavar="WHERE", help="processes (of this machine), or ray")
    parser.add_argument("--processes", type=int, default=0, metavar="N", help="trials at once (default: the cores)")
    parser.add_argument("--address", default="", help="of a Ray cluster (default: one that is started here)")
    parser.add_argument("--storage", default="", metavar="URL", help="for runs, where Ray's nodes share no folder")
    parser.add_argument("--gpus", type=float, default=1.0, metavar="X", help="of a card for a trial, on Ray")
    parser.add_argument("--in-line", action="store_true", help="wait until one of the machine's places is free")
    arguments = parser.parse_args(list(words))
    from explorer.learning import line

    if arguments.in_line:
        line.give_way()
    if not arguments.what:
        _list()
        return
    directory, new = _found(Path(arguments.what).expanduser().absolute(), arguments)
    if directory is None:
        return
    if new:
        print(directory.path)
    if arguments.trial >= 0:
        _print_command(directory, arguments.trial)
    elif arguments.show:
        _print_state(directory)
    else:
        _train(directory, arguments)
    if arguments.output:
        _write(directory, Path(arguments.output))


def _list() -> None:
    from explorer.errors import ExplorerError
    from explorer.learning import runs
    from explorer.learning.sweeps import directory as directories

    found = directories.listed()
    if not found:
        print("There is no sweep yet: docs/sweeps.md shows how a file says what is swept.")
    for path in found:
        said = runs.status(path)
        try:
            title = directories.read(path).title
        except ExplorerError as error:
            title = str(error)
        print(f"{said.state:10} {said.step:>6,} of {said.steps:<6,} {title}\n           {path}")


def _found(path: Path, arguments: Namespace) -> tuple["Directory | None", bool]:
    """The sweep that is meant, and whether it is a new one; None where a file was only to be shown."""
    from explorer.learning.sweeps import directory as directories
    from explorer.learning.sweeps import file
    from explorer.running.devices import devices

    if path.is_dir():
        return _changed(directories.read(path), arguments), False
    sweep = file.read(path, devices()[0].name)
    if arguments.into:
        before = directories.read(Path(arguments.into).expanduser().absolute())
        directory, count = directories.extend(before, sweep)
        print(f"{count:,} trials are added to the {len(before.trials):,} of {directory.title}.")
        return _changed(directory, arguments), False
    _print_cost(sweep, _where(arguments))
    if arguments.show:
        return None, False
    return _changed(directories.create(sweep, _where(arguments)), arguments), True


def _where(arguments: Namespace) -> "Where":
    from explorer.learning.sweeps.engines import HERE, RAY, Where

    of_ray = arguments.address or arguments.storage
    on = arguments.on or (RAY if of_ray else HERE)
    if of_ray and on != RAY:
        raise CommandError("--address and --storage are for --on ray.")
    return Where(on, arguments.processes, arguments.address, arguments.storage, arguments.gpus)


def _changed(directory: "Directory", arguments: Namespace) -> "Directory":
    """With another budget, or to be trained elsewhere, where that is asked for."""
    from explorer.learning.sweeps import directory as directories

    if arguments.on or arguments.address or arguments.storage or arguments.processes:
        directory = directories.change(directory, where=_where(arguments))
    if arguments.budget >= 0:
        directory = directories.change(directory, budget=arguments.budget)
    return directory


def _print_cost(sweep: "Sweep", where: "Where") -> None:
    from explorer.learning.sweeps import engines, estimate
    from explorer.learning.sweeps.sweep import trials

    found, impossible = trials(sweep)
    seeds = f"{len(sweep.seeds)} seed{'s' * (len(sweep.seeds) > 1)}"
    print(f"{len(found):,} trials: {len(found) // len(sweep.seeds):,} networks and recipes with {seeds}.")
    for why, (count, first) in list(impossible.items())[:MOST_SHOWN]:
        print(f"{count:,} combinations cannot be, as {first}: {why}.")
    places = engines.processes(sweep, where, in_line=False)
    jobs = [trial.job(sweep) for trial in found]
    rate = estimate.measure(jobs, places)
    if rate is None:
        print("How long they take could not be measured here.")
        return
    cost = estimate.estimate(jobs, rate, places)
    print(
        f"Together {duration(cost.total)} of training by this machine's speed, or {duration(cost.clock)} with {places} "
        f"side by side; the longest trial {duration(max(cost.each))}."
    )
    if sweep.budget and cost.total > sweep.budget:
        print(f"The budget of {sweep.budget:,.0f} s is less than that: not all will be trained.")


def _print_state(directory: "Directory") -> None:
    from explorer.learning import runs
    from explorer.learning.sweeps.directory import FAILED

    said, table = runs.status(directory.path), directory.results()
    print(f"{directory.title}: {said.state}, {len(table):,} of {len(directory.trials):,} trials ended. {said.message}")
    if table.empty:
        return
    for state, count in table["state"].value_counts().items():
        print(f"{count:>7,} {state}")
    failed = table[table["state"].isin(FAILED)]
    for row in failed.head(MOST_SHOWN).itertuples():
        print(f"trial {row.trial}: {clean(str(row.message), 300)}")
    if len(failed):
        print(f"{PROGRAM} sweep {directory.path} --again trains them once more.")


def _print_command(directory: "Directory", number: int) -> None:
    from explorer.learning.command import train_command

    if number >= len(directory.trials):
        raise CommandError(f"There is no trial {number}; there are 0 to {len(directory.trials) - 1}.")
    print(train_command(directory.trials[number].job(directory.sweep), f"runs/trial-{number}"))


def _train(directory: "Directory", arguments: Namespace) -> None:
    from explorer.learning import runs
    from explorer.learning.sweeps import carrying_out

    if not arguments.in_line:  # whoever put it in line has done so before, and may have asked for a stop since
        runs.take_back_stop(directory.path)
    state = carrying_out.carry_out(directory.path, print, arguments.in_line, arguments.again)
    if state == "failed":
        raise CommandError(runs.status(directory.path).message)


def _write(directory: "Directory", path: Path) -> None:
    table = directory.results()
    try:
        if path.suffix == ".parquet":
            table.to_parquet(path, index=False)
        elif path.suffix == ".csv":
            table.to_csv(path, index=False)
        else:
            raise CommandError(f"{path}: results are written to a .csv or a .parquet file.")
    except OSError as error:
        raise CommandError(f"{path} cannot be written ({error.strerror or error}).") from None
