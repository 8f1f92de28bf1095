"""Which trials does ASHA stop? Held against its paper's rule, worked out by hand."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.learning import runs
from explorer.learning.sweeps import file
from explorer.learning.sweeps.early import EarlyStopping, evaluations
from explorer.learning.sweeps.sweep import Early, SweepError, longest


def curve(*accuracies):
    """After each epoch."""
    return list(enumerate(accuracies, start=1))


def test_those_below_the_best_third_are_stopped():
    asha = EarlyStopping(Early(grace=1, factor=3), longest=27)
    # of 0.1, 0.2 and 0.3 the best third begins two thirds of the way, between the second and the third: at 0.2333
    assert not asha.tell(0, curve(0.1))  # nobody to be compared with
    assert not asha.tell(1, curve(0.2))
    assert not asha.tell(2, curve(0.3))
    assert asha.tell(3, curve(0.233))
    assert not asha.tell(4, curve(0.6))


@pytest.mark.parametrize(("epochs", "stopped"), [(1, False), (3, False), (4, True), (5, True), (30, True)])
def test_nobody_is_compared_before_the_grace_is_over(epochs, stopped):
    asha = EarlyStopping(Early(grace=4, factor=3), longest=100)
    asha.tell(0, curve(*[0.9] * 100))
    assert asha.tell(1, curve(*[0.1] * epochs)) == stopped


def test_trials_are_compared_each_time_that_they_have_come_a_factor_further():
    asha = EarlyStopping(Early(grace=4, factor=3), longest=100)
    asha.tell(0, curve(*[0.9] * 100))
    # as good as the other after 4 and after 12 epochs, and worse between them and later
    accuracies = [0.9 if epoch in (4, 12) else 0.1 for epoch in range(1, 101)]
    stopped = [asha.tell(1, curve(*accuracies[:epoch])) for epoch in range(1, 101)]
    assert stopped.index(True) + 1 == 36
    assert all(stopped[35:])


def test_a_trial_that_is_to_be_stopped_stays_so_and_is_asked_of_anew():
    asha = EarlyStopping(Early(), longest=9)
    asha.tell(0, curve(0.9))
    assert asha.tell(1, curve(0.1))
    assert asha.tell(1, curve(0.1, 0.95, 0.95))
    assert asha.tell(1, [])


def test_what_was_told_is_not_told_again():
    asha = EarlyStopping(Early(factor=2), longest=9)
    asha.tell(0, curve(0.5))
    assert not asha.tell(1, curve(0.6))
    asha.tell(2, curve(0.9))
    assert not asha.tell(1, curve(0.6))  # below what is the best half by now
    assert not asha.tell(1, curve(0.6))


def test_epochs_that_a_restarted_trial_has_over_again_change_nothing():
    asha = EarlyStopping(Early(), longest=9)
    asha.tell(0, curve(0.5, 0.5, 0.5))
    assert not asha.tell(1, curve(0.6, 0.6))
    assert not asha.tell(1, curve(0.6))  # its node died before the second epoch was kept
    assert not asha.tell(1, curve(0.6, 0.6, 0.6))


def test_a_trial_that_evaluates_rarely_is_compared_where_it_has_come():
    asha = EarlyStopping(Early(grace=2, factor=2), longest=64)
    asha.tell(0, [(5, 0.5), (10, 0.5)])
    assert asha.tell(1, [(5, 0.4)])  # at 4


def test_a_grace_longer_than_all_trials_stops_none():
    asha = EarlyStopping(Early(grace=50), longest=10)
    asha.tell(0, curve(*[0.9] * 10))
    assert not asha.tell(1, curve(*[0.1] * 10))


@given(
    st.dictionaries(st.integers(0, 30), st.lists(st.floats(0, 1), max_size=12), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
    st.floats(0, 1),
)
def test_after_a_replay_in_any_order_others_are_decided_upon_alike(curves, chance, new):
    began = EarlyStopping(Early(), longest=27)
    for number, accuracies in curves.items():
        for told in range(len(accuracies) + 1):
            began.tell(number, curve(*accuracies[:told]))
    resumed = EarlyStopping(Early(), longest=27)
    for number in chance.sample(list(curves), len(curves)):
        resumed.replay(number, curve(*curves[number]))
    for told in range(1, 10):
        assert began.tell(99, curve(*[new] * told)) == resumed.tell(99, curve(*[new] * told))


def test_evaluations_are_read_from_the_rows_that_have_one(tmp_path):
    assert evaluations(tmp_path) == []
    head = "step,epoch,seconds,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy\n"
    (tmp_path / runs.METRICS).write_text(f"{head}2,0.5,1,0.1,2,0.3,,\n4,1,2,0.1,2,0.3,,\n4,1,2,0.1,,,nan,0.25\n8,2,3,")
    assert evaluations(tmp_path) == [(1, 0.25)]
    assert not any(math.isnan(accuracy) for _, accuracy in evaluations(tmp_path))


def test_without_ray_it_is_one_sentence(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SweepError, match=r"^Ray is not installed: pip install -r requirements-ray\.txt$"):
        EarlyStopping(Early(), 10)


def test_the_longest_trial_is_found():
    base = {"network": "resnet20_cifar", "set": {"epochs": 3}}
    assert longest(file.of_table(base)) == 3
    assert longest(file.of_table(base | {"turn": {"epochs": [2, 9, 4]}})) == 9
    assert longest(file.of_table(base | {"turn": {"epochs": {"from": 2, "to": 50}}, "sample": 2})) == 50
