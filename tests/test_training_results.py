"""What a run's tables say, held to scipy, scikit-learn and arithmetic by hand."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from explorer.learning.results import (
    Confused,
    Mistake,
    accuracy,
    best,
    broke,
    confusion,
    most_confused,
    over_seeds,
    worst_mistakes,
)

HEADER = "step,epoch,seconds,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy\n"
NOTHING = pd.DataFrame()


def metrics(*rows):
    """Read as a run's own file is."""
    return pd.read_csv(io.StringIO(HEADER + "".join(f"{row}\n" for row in rows)))


def predictions(labels, predicted, probability=0.5, of_label=0.1):
    table = {"label": labels, "predicted": predicted, "probability": probability, "of_label": of_label}
    return pd.DataFrame(table)


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (0, 7), (7, 7), (3, 10), (397, 400), (9_300, 10_000)])
def test_the_interval_is_scipys_wilson_interval(right, count):
    found = accuracy(predictions([0] * count, [0] * right + [1] * (count - right)))
    theirs = binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert (found.share, found.count) == (right / count, count)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_nothing_is_known_of_no_images():
    found = accuracy(NOTHING)
    assert math.isnan(found.share)
    assert (found.low, found.high, found.count) == (0, 1, 0)
    assert confusion(NOTHING, 2).tolist() == [[0, 0], [0, 0]]
    assert worst_mistakes(NOTHING) == []


def test_confusion_is_scikit_learns():
    draw = np.random.default_rng(0)
    labels, predicted = draw.integers(0, 7, (2, 500))
    found = confusion(predictions(labels, predicted), 9)
    assert found.dtype == np.int64
    assert np.array_equal(found, confusion_matrix(labels, predicted, labels=range(9)))


def test_a_class_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"classes=2: .* from 0 to 2"):
        confusion(predictions([0, 1], [0, 2]), 2)


def test_most_confused_counts_by_the_rows_share():
    counts = np.array([[90, 10, 0], [1, 3, 1], [0, 0, 0]])  # 10 of 100, and twice 1 of 5; no image of the last class
    assert most_confused(counts) == [Confused(1, 0, 1, 0.2), Confused(1, 2, 1, 0.2), Confused(0, 1, 10, 0.1)]
    assert most_confused(counts, 1) == [Confused(1, 0, 1, 0.2)]
    assert most_confused(np.diag([3, 4])) == []


def test_of_equal_shares_the_one_with_more_images_comes_first():
    assert [one.true for one in most_confused(np.array([[1, 1], [5, 5]]))] == [1, 0]


def test_worst_mistakes_are_the_confident_ones():
    table = predictions([0, 1, 2, 1], [0, 2, 0, 0], [0.99, 0.6, 0.9, 0.6], [0.99, 0.3, 0.05, 0.1])
    expected = [Mistake(2, 2, 0, 0.9, 0.05), Mistake(1, 1, 2, 0.6, 0.3), Mistake(3, 1, 0, 0.6, 0.1)]
    assert worst_mistakes(table) == expected
    assert worst_mistakes(table, 1) == expected[:1]


def test_best_is_the_first_of_the_highest():
    table = metrics("1,1,1,.1,2,.5,,", "1,1,1,.1,,,1,.6", "2,2,2,.1,,,1,.8", "3,3,3,.1,,,1,.8")
    assert best(table) == (2, 0.8)
    assert best(metrics("1,1,1,.1,2,.5,,")) is None
    assert best(NOTHING) is None


GOOD, TEST = "1,0.5,1,.1,2.3,.1,,", "2,1,2,.1,,,2.2,.2"


@pytest.mark.parametrize("loss", ["", "inf", "-inf"])
def test_a_run_breaks_where_its_loss_is_no_number(loss):
    rows = GOOD, TEST, f"3,1.5,3,.1,{loss},.1,,", f"4,2,4,.1,{loss},.1,,"
    assert broke(metrics(*rows)) == (1.5, 3)


def test_looking_at_the_test_images_breaks_nothing():
    assert broke(metrics(GOOD, TEST)) is None
    assert broke(metrics(GOOD, "2,1,2,.1,,,,.2")) is None  # a test loss that is no number
    assert broke(NOTHING) is None


def test_a_line_that_is_half_written_breaks_nothing():
    assert broke(metrics(GOOD, "3,1.5,3")) is None
    assert broke(metrics(GOOD, "3,1.5,3,.1,2e-")) is None


def test_seeds_are_interpolated_each_within_its_own_epochs():
    one = metrics("1,0,0,.1,1,.1,,", "2,2,0,.1,3,.1,,", "2,2,0,.1,,,9,.9")
    other = metrics("1,1,0,.1,6,.1,,", "2,3,0,.1,10,.1,,")
    found = over_seeds([one, other], "train_loss", np.array([0.0, 1.0, 2.0, 3.0, 4.0]))
    # one: 1 2 3 - -; other: - 6 8 10 -
    assert found.mean.tolist()[:4] == [1, 4, 5.5, 10]
    assert found.low.tolist()[:4] == [1, 2, 3, 10]
    assert found.high.tolist()[:4] == [1, 6, 8, 10]
    assert all(math.isnan(values[4]) for values in found)


def test_seeds_that_broke_end_before_it():
    table = metrics(GOOD, "2,1,2,.1,inf,.1,,")
    found = over_seeds([table, NOTHING], "train_loss", np.array([0.5, 1.0]))
    assert found.mean[0] == found.low[0] == found.high[0] == 2.3
    assert np.isnan(found.mean[1])


def test_no_seeds_have_no_mean():
    assert np.isnan(over_seeds([], "train_loss", np.array([1.0]))).all()
