"""What does it cost the server to show a sweep of 1,000 trials while it is carried out?"""

import os
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from unittest.mock import patch

from benchmarks.measure import UNPROMISED, Table, promised
from benchmarks.training import Watched, say_alive
from controls.panels import sweep_results
from controls.services import sweep_files
from explorer.families import PRESETS, plan
from explorer.learning import runs
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe
from explorer.learning.sweeps import directory as directories
from explorer.learning.sweeps.directory import RESULTS, Directory, Results
from explorer.learning.sweeps.sweep import Part, Sweep

ENDED = 1000
POLL = 50.0  # ms
TURNED = {
    "growth_rate": tuple(map(str, range(4, 24, 2))),
    "learning_rate": tuple(f"{0.02 * i:.2g}" for i in range(1, 11)),
}
SEEDS = 11  # of which the last has not ended


def poll_table(quick: bool) -> Table:
    """A poll is one run of the page's fragment, every two seconds and visitor."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"EXPLORER_RUNS": folder}):
        sweep = ended()
        file = sweep.path / RESULTS
        lines = file.read_text().splitlines(keepends=True)
        lengths = cycle(range(len(lines) - 20, len(lines)))

        def alive() -> None:
            say_alive(sweep.path, runs.Status("training", ENDED, len(sweep.trials), 0, 4e4, 0, 3e3))

        def one_ends() -> None:
            alive()
            file.write_text("".join(lines[: next(lengths)]))

        alive()
        rows = []
        count = 6 if quick else 20
        with Watched(sweep.name, page="sweeps", entry="sweep") as server:
            server.poll(5, one_ends)

            def after(seconds: float) -> Callable[[], None]:
                def wait() -> None:
                    time.sleep(seconds)
                    one_ends()

                return wait

            for what, before, polls in (
                ("no trial has ended since", alive, 5 * count),
                ("a trial ends before each", after(sweep_results.EVERY), count),
                ("of which one in which all is drawn anew", after(file.stat().st_size / sweep_files.DRAWN), count // 2),
            ):
                found = 1e3 * server.poll(polls, before)
                kept = UNPROMISED if what.startswith("of") else promised(found, at_most=POLL, unit=" ms")
                rows.append((what, f"{found:.1f} ms", *kept))
    return Table(
        f"A poll of a sweep's page: {ENDED:,} trials that have ended, of {len(sweep.trials):,}",
        ("processor time of the server", "takes", "promise", "kept"),
        rows,
        [
            "A poll is one run of the page's fragment, every two seconds and visitor: state, pictures and the table.",
            "The more trials have ended, the more seldom pictures are drawn anew for one more of them.",
        ],
    )


def ended() -> Directory:
    """Its results are made up; there is no run."""
    config = PRESETS["densenet40_12_cifar"].replace(blocks=(2, 2, 2), input_size=16)
    part = Part("", Job(config, "shapes", Recipe(epochs=3)), TURNED)
    sweep = directories.create(Sweep("growth rates", (part,), tuple(range(SEEDS))))
    table = Results(sweep)
    for trial in sweep.trials[:ENDED]:
        network = plan(trial.job(sweep.sweep).config)
        rate = float(trial.turns["learning_rate"])
        accuracy = 0.5 + 0.015 * int(trial.turns["growth_rate"]) - 2 * (rate - 0.1) ** 2 + 0.004 * trial.seed
        measured = {"test_accuracy": accuracy, "best_test_accuracy": accuracy, "test_loss": 1.0, "train_loss": 0.9}
        costs = {"params": network.params, "macs": network.macs, "epochs": 3, "steps": 300, "seconds": 40.0}
        said = {"state": "finished", "run": sweep.run_of(trial).name, "host": "node", "message": f"{accuracy:.1%}"}
        table.add(trial, measured | costs | said)
    return sweep
