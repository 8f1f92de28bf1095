"""A sweep that is carried out: with processes of this machine, and with engines that die, fail, and never end."""

import json
import math
import os
import signal
import sys
import threading
import time
from types import ModuleType

import psutil
import pytest

from explorer.families import plan
from explorer.learning import driving, rates, runs, side_by_side, worker
from explorer.learning.runs import RunError
from explorer.learning.side_by_side import Processes
from explorer.learning.sweeps import directory as directories
from explorer.learning.sweeps import engines, estimate, file
from explorer.learning.sweeps.carrying_out import carry_out
from explorer.learning.sweeps.directory import Results
from explorer.learning.sweeps.estimate import Rate
from explorer.learning.sweeps.on_this_machine import DIED
from explorer.learning.sweeps.sweep import trials

TINY = {
    "network": "resnet20_cifar",
    "data": "digits",
    "images": 64,
    "set": {"input_size": 8, "channels": 1, "stem_width": 4, "blocks": "1-1-1", "epochs": 2, "batch_size": 32},
    "turn": {"width": [4, 8]},
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    # a new process begins with whatever is the main module, which tests of pages have made a page
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    monkeypatch.setenv("EXPLORER_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def created(where=engines.ON_PROCESSES, **table):
    return directories.create(file.of_table(TINY | table), where)


def nothing(text):
    pass


class Played:
    """An engine without processes: what becomes of a run is what `play(path, attempt)` makes of it."""

    def __init__(self, play, places=2):
        self.play, self.places = play, places
        self.running, self.started, self.most = {}, [], 0

    def __call__(self, sweep, where, in_line):
        return self

    @property
    def free(self):
        return self.places - len(self.running)

    def start(self, number, path):
        self.started.append(number)
        self.running[number] = path
        self.most = max(self.most, len(self.running))

    def ended(self, seconds):
        found = []
        for number, path in list(self.running.items()):
            why = self.play(path, self.started.count(number))
            if why is not None:
                del self.running[number]
                found.append((number, why))
        return found

    def close(self):
        assert not self.running


def said(path, state, seconds=1.0, message="", accuracy=0.5):
    """As a worker says it."""
    one = runs.Status(state, step=4, steps=4, epochs=2, seconds=seconds, message=message, host="elsewhere")
    runs.write_whole(path / runs.STATUS, json.dumps(one._asdict()).encode())
    rows = "step,epoch,seconds,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy\n"
    rows += f"2,1,{seconds / 2},0.1,2,0.25,,\n2,1,{seconds / 2},0.1,,,2.1,0.75\n4,2,{seconds},0.1,1,0.5,,\n"
    (path / runs.METRICS).write_text(rows + f"4,2,{seconds},0.1,,,1.5,{accuracy}\n")


def finishes(path, attempt):
    said(path, "finished")
    return ""


# ---- with processes ----


def test_every_trial_is_an_ordinary_run_with_the_weights_of_a_run_alone(folder, tmp_path):
    sweep = created(seeds=2)
    lines = []
    assert carry_out(sweep.path, lines.append) == "finished"
    assert runs.status(sweep.path).message == lines[-1] == "4 finished."
    table = sweep.results()
    assert list(table["state"]) == ["finished"] * 4
    for trial, row in zip(sweep.trials, table.itertuples(), strict=True):
        run = runs.read(sweep.run_of(trial))
        network = plan(run.job.config)
        assert (row.params, row.macs, row.seed, row.width) == (
            network.params,
            network.macs,
            trial.seed,
            str(trial.turns["width"]),
        )
        said = runs.predictions(run.path)
        assert row.test_accuracy == pytest.approx((said["label"] == said["predicted"]).mean(), abs=1e-6)
        assert row.steps == 4
    alone = runs.create(sweep.trials[3].job(sweep.sweep), tmp_path / "alone").path
    worker.train(alone, say=nothing)
    trial = sweep.run_of(sweep.trials[3])
    assert (alone / runs.PREDICTIONS).read_bytes() == (trial / runs.PREDICTIONS).read_bytes()
    columns = ["step", "train_loss", "test_loss", "test_accuracy"]
    assert runs.metrics(alone)[columns].equals(runs.metrics(trial)[columns])


def test_it_is_stopped_and_goes_on(folder):
    sweep = created(engines.Where(processes=1), seeds=3)

    def stop_after_two(text):
        if text.startswith("2 of 6"):
            runs.ask_to_stop(sweep.path)

    assert carry_out(sweep.path, stop_after_two) == "stopped"
    some = sweep.results()
    assert 2 <= len(some) < 6
    runs.take_back_stop(sweep.path)
    assert carry_out(sweep.path, nothing) == "finished"
    table = sweep.results()
    assert list(table["trial"]) == list(range(6))
    assert list(table["state"]) == ["finished"] * 6
    before = table[table["trial"].isin(some["trial"])]
    assert list(before["seconds"]) == list(some["seconds"])  # those were not trained again


def test_nobody_carries_out_what_another_does():
    sweep = created()
    with driving._alone(sweep.path), pytest.raises(RunError, match="already"):
        carry_out(sweep.path, nothing)


# ---- what becomes of trials ----


def test_a_row_says_what_the_run_says():
    sweep = created()
    carry_out(sweep.path, nothing, start=Played(finishes))
    row = sweep.results().iloc[0]
    assert (row["train_loss"], row["train_accuracy"], row["test_loss"], row["test_accuracy"]) == (1, 0.5, 1.5, 0.5)
    assert (row["best_test_accuracy"], row["epochs"], row["steps"], row["host"]) == (0.75, 2, 4, "elsewhere")


def test_no_more_are_trained_at_once_than_there_are_places():
    engine = Played(finishes, places=3)
    carry_out(created(seeds=10).path, nothing, start=engine)
    assert (engine.most, engine.started) == (3, list(range(20)))


def test_one_whose_process_dies_is_started_again_and_goes_on():
    def play(path, attempt):
        if path.name.startswith("t1-") and attempt < 3:
            said(path, "training", seconds=0.5)
            return DIED
        return finishes(path, attempt)

    sweep, engine = created(), Played(play)
    assert carry_out(sweep.path, nothing, start=engine) == "finished"
    assert engine.started.count(1) == 3
    assert list(sweep.results()["state"]) == ["finished"] * 2


def test_one_whose_process_dies_again_and_again_has_failed_and_the_others_go_on():
    sweep = created(seeds=2)
    engine = Played(lambda path, attempt: DIED if path.name.startswith("t1-") else finishes(path, attempt))
    assert carry_out(sweep.path, nothing, start=engine) == "finished"
    assert runs.status(sweep.path).message == "3 finished, 1 failed."
    row = sweep.results().iloc[1]
    assert (row["state"], row["message"]) == ("failed", DIED)


def test_failed_ones_are_listed_with_their_reason_and_trained_once_more():
    def fails(path, attempt):
        if path.name.startswith("t0-"):
            said(path, "failed", message="The disk is full.", seconds=3)
            return ""
        return finishes(path, attempt)

    sweep = created()
    carry_out(sweep.path, nothing, start=Played(fails))
    assert list(sweep.results()["message"].fillna("")) == ["The disk is full.", ""]
    engine = Played(finishes)
    carry_out(sweep.path, nothing, start=engine)
    assert engine.started == []
    carry_out(sweep.path, nothing, again=True, start=engine)
    assert engine.started == [0]
    assert list(sweep.results()["state"]) == ["finished"] * 2
    assert runs.status(sweep.path).seconds == 2  # each counts once


def test_one_that_diverges_is_a_result():
    def diverges(path, attempt):
        said(path, "diverged")
        return ""

    sweep = created()
    carry_out(sweep.path, nothing, start=Played(diverges))
    engine = Played(finishes)
    carry_out(sweep.path, nothing, again=True, start=engine)
    assert engine.started == []


def test_one_that_ended_while_nobody_looked_is_not_trained_again():
    sweep = created(engines.Where(processes=1))
    first = sweep.run_of(sweep.trials[0])
    runs.create(sweep.trials[0].job(sweep.sweep), first)
    worker.train(first, say=nothing)
    before = (first / runs.PREDICTIONS).stat().st_mtime_ns
    assert carry_out(sweep.path, nothing) == "finished"
    assert (first / runs.PREDICTIONS).stat().st_mtime_ns == before
    assert len(sweep.results()) == 2


# ---- early stopping ----


def learns(path, accuracies):
    """A run that has come so far."""
    head = "step,epoch,seconds,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy\n"
    rows = "".join(f"{2 * epoch},{epoch},{epoch},0.1,,,1,{found}\n" for epoch, found in enumerate(accuracies, start=1))
    (path / runs.METRICS).write_text(head + rows)


def test_those_that_do_worse_are_stopped_early_and_have_a_row(monkeypatch):
    """The second trial learns to a half, and the others to nine tenths: after three epochs it is the worst of them."""
    monkeypatch.setattr("explorer.learning.sweeps.carrying_out.READS_EACH", 0.0)
    come = {}

    def play(path, attempt):
        number = int(path.name[1])
        if (path / runs.STOP).exists():
            said(path, "stopped", seconds=come[number])
            learns(path, [0.5] * come[number])
            return ""
        come[number] = come.get(number, 0) + 1
        done = come[number] >= 9
        said(path, "finished" if done else "training", seconds=come[number])
        learns(path, [0.5 if number == 1 else 0.9] * come[number])
        return "" if done else None

    sweep = created(seeds=2, early={"grace": 3}, set=TINY["set"] | {"epochs": 9})
    assert carry_out(sweep.path, nothing, start=Played(play, places=1)) == "finished"
    assert come == {0: 9, 1: 3, 2: 9, 3: 9}
    assert list(sweep.results()["state"]) == ["finished", "early", "finished", "finished"]
    assert runs.status(sweep.path).message == "3 finished, 1 stopped early."
    engine = Played(play)
    carry_out(sweep.path, nothing, again=True, start=engine)
    assert engine.started == []


def test_a_sweep_that_goes_on_knows_how_the_trials_before_did(monkeypatch):
    monkeypatch.setattr("explorer.learning.sweeps.carrying_out.READS_EACH", 0.0)
    sweep = created(early={"grace": 1})
    first = sweep.run_of(sweep.trials[0])
    runs.create(sweep.trials[0].job(sweep.sweep), first)
    said(first, "finished")
    learns(first, [0.9, 0.9])
    Results(sweep).add(sweep.trials[0], {"state": "finished", "seconds": 1})

    def play(path, attempt):
        stopped = (path / runs.STOP).exists()
        said(path, "stopped" if stopped else "training")
        learns(path, [0.5])
        return "" if stopped else None

    engine = Played(play)
    carry_out(sweep.path, nothing, start=engine)
    assert engine.started == [1]
    assert list(sweep.results()["state"]) == ["finished", "early"]


# ---- the budget ----


def test_the_budget_is_kept_and_a_larger_one_goes_on(monkeypatch):
    monkeypatch.setattr("explorer.learning.sweeps.carrying_out.READS_EACH", 0.0)
    trained = {}

    def play(path, attempt):
        if (path / runs.STOP).exists():
            said(path, "stopped", seconds=trained[path])
            runs.take_back_stop(path)
            return ""
        trained[path] = trained.get(path, 0) + 1
        said(path, "training" if trained[path] < 10 else "finished", seconds=trained[path])
        return "" if trained[path] >= 10 else None

    sweep = created(seeds=3, budget=25)
    assert carry_out(sweep.path, nothing, start=Played(play)) == "stopped"
    assert "budget of 25 s" in runs.status(sweep.path).message
    assert 25 <= sum(trained.values()) <= 27  # two at once, a second each
    assert list(sweep.results()["state"]) == ["finished"] * 2
    assert carry_out(sweep.path, nothing, start=Played(play)) == "stopped"  # at once, for none is left
    assert sum(trained.values()) <= 29
    directories.change(sweep, budget=1000)
    assert carry_out(sweep.path, nothing, start=Played(play)) == "finished"
    assert sum(trained.values()) == 60
    assert runs.status(sweep.path).seconds == 60


# ---- processes side by side ----


def die(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_process_that_dies_takes_nothing_else_with_it_and_none_is_left():
    before = psutil.Process().children(recursive=True)
    places = Processes(2)
    futures = [places.submit(die, 0), places.submit(die, 1)]
    found = []
    until = time.monotonic() + 60
    while len(found) < 2 and time.monotonic() < until:
        found += places.ended(1.0)
    assert futures[0].result() == 0
    assert isinstance(futures[1].exception(), side_by_side.BrokenProcessPool)
    assert places.free == 2
    again = [places.submit(die, 2), places.submit(die, 3)]
    assert [future.result(60) for future in again] == [2, 3]
    places.ended(0)
    places.close()
    left = [child for child in psutil.Process().children(recursive=True) if child not in before]
    assert [child for child in left if "resource_tracker" not in " ".join(child.cmdline())] == []


def test_one_place_needs_no_process():
    places = Processes(1)
    assert places.submit(threading.get_native_id).result() != os.getpid()
    assert places.submit(os.getpid).result() == os.getpid() if places.ended(1.0) else False
    places.close()


# ---- what it would cost ----


def test_rates_lie_on_a_line_through_what_was_measured():
    rate = Rate((1e6, 1e8), (1e-3, 1e-2))
    assert rate.of(1e6) == pytest.approx(1e-3)
    assert rate.of(1e7) == pytest.approx(math.sqrt(1e-3 * 1e-2))  # halfway, in logarithms
    assert rate.of(2e8) == pytest.approx(2e-2)
    assert rate.of(5e5) == pytest.approx(5e-4)


def test_an_estimate_is_images_over_the_rate():
    job = created().trials[0].job(created().sweep)
    rate = Rate((estimate.work(job.config),), (0.001,))
    # 2 epochs of 64 images; 397 test images after each, a third of the work of learning from them
    assert estimate.seconds(job, rate) == pytest.approx(0.001 * (2 * 64 + 2 * 397 / 3))
    found = estimate.estimate([job] * 5, rate, places=2)
    assert found.total == pytest.approx(5 * found.each[0])
    assert found.clock == pytest.approx(found.total / 2)
    assert estimate.estimate([job], rate, places=2).clock == pytest.approx(found.each[0])


def test_work_grows_with_macs():
    sweep = file.of_table(TINY | {"turn": {"width": [4, 8, 16, 32]}})
    jobs = [trial.job(sweep) for trial in trials(sweep).trials]
    works = [estimate.work(job.config) for job in jobs]
    assert works == sorted(works)
    assert estimate.to_measure(jobs)[0] == jobs[0]
    assert estimate.to_measure(jobs)[-1] == jobs[-1]


def test_it_is_measured_on_this_machine():
    sweep = created().sweep
    jobs = [trial.job(sweep) for trial in trials(sweep).trials]
    rate = estimate.measure(jobs, places=1)
    assert len(rate.works) == 2
    assert all(1e-6 < seconds < 1 for seconds in rate.seconds)


def test_what_cannot_be_measured_is_none(monkeypatch):
    monkeypatch.setattr(rates, "images_per_second", lambda jobs: [])
    assert estimate.measure([created().trials[0].job(created().sweep)], 1) is None
