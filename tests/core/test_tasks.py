"""Labels, answers and how sure one may be of a score."""

import numpy as np
import pytest

from distilbert.core.tasks import SequenceClassification
from distilbert.core.tasks.metrics import (
    METRICS,
    Bootstrap,
    accuracy,
    average_precision,
    exact_match,
    hamming_loss,
    macro_f1,
    matthews,
    pearson,
    several_macro_f1,
    several_micro_f1,
    spearman,
)
from distilbert.errors import DataError


def test_the_order_of_labels() -> None:
    assert SequenceClassification.of_labels(["b", "a", "b"]).labels == ("a", "b")
    assert SequenceClassification.of_labels(["10", "9", "-1"]).labels == ("-1", "9", "10")
    with pytest.raises(DataError, match="at least two labels.*only a"):
        SequenceClassification.of_labels(["a", "a"])


def test_labels_and_ids() -> None:
    task = SequenceClassification(("no", "yes"))
    assert task.ids(["yes", "no", "yes"], source="x").tolist() == [1, 0, 1]
    with pytest.raises(DataError, match="no, yes. Received: maybe, what in the test data, first in row 2"):
        task.ids(["yes", "what", "maybe"], source="the test data")
    assert SequenceClassification.from_facts(task.facts()) == task


def test_answers_are_probabilities_in_the_labels_names() -> None:
    logits = np.log(np.array([[0.2, 0.7, 0.1], [0.5, 0.25, 0.25]])) + 3.0
    first, second = SequenceClassification(("a", "b", "c")).answers(logits)
    assert (first.label, second.label) == ("b", "a")
    assert first.scores == pytest.approx({"a": 0.2, "b": 0.7, "c": 0.1})
    assert first.score == pytest.approx(0.7)


def test_metrics_by_hand() -> None:
    truth, answers = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    assert accuracy(truth, answers) == 0.5
    # Label 0: precision 1, recall 1/2; label 1: precision 1/3, recall 1; label 2: nothing.
    assert macro_f1(truth, answers) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_metrics_of_several_labels_by_hand() -> None:
    truth = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 0]])
    scores = np.array([[0.9, 0.2, 0.4], [0.1, 0.5, 0.3], [0.2, 0.1, 0.0], [0.6, 0.4, 0.7]])
    # Told: 0; 1; nothing; 0 and 2. Right: the second and the third row.
    assert exact_match(truth, scores) == 0.5
    assert hamming_loss(truth, scores) == pytest.approx(3 / 12)
    # Of 5 true labels 3 are told, of 4 that are told 3 are true.
    assert several_micro_f1(truth, scores) == pytest.approx(2 * 3 / (5 + 4))
    assert several_macro_f1(truth, scores) == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_figures_are_scikit_learns() -> None:
    from sklearn.metrics import f1_score, matthews_corrcoef

    rng = np.random.default_rng(0)
    for classes in (2, 3, 7):
        truth = rng.integers(0, classes, 50)
        answers = np.where(rng.random(50) < 0.5, truth, rng.integers(0, classes, 50))
        assert matthews(truth, answers) == pytest.approx(matthews_corrcoef(truth, answers))
        # One label that is neither true nor told counts for nothing.
        for ids in (truth, truth * 2):
            expected = f1_score(ids, answers, average="macro", zero_division=0)
            assert macro_f1(ids, answers) == pytest.approx(expected)
    for _ in range(10):
        several, scores = rng.random((30, 4)) < 0.3, rng.random((30, 4))
        for name, ours in (("micro", several_micro_f1), ("macro", several_macro_f1)):
            assert ours(several, scores) == pytest.approx(f1_score(several, scores >= 0.5, average=name))


def test_average_precision_is_scikit_learns() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    for _ in range(20):
        truth = rng.random((40, 4)) < 0.3
        scores = np.round(rng.random((40, 4)), 1)  # with many ties
        truth[0] = True
        expected = average_precision_score(truth, scores, average="macro")
        assert average_precision(truth, scores) == pytest.approx(expected)
    truth[:, 2] = False
    expected = average_precision_score(truth[:, [0, 1, 3]], scores[:, [0, 1, 3]], average="macro")
    assert average_precision(truth, scores) == pytest.approx(expected), "what is never true is left out"


def test_correlations_by_hand() -> None:
    truth, answers = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 1.0, 8.0, 16.0])
    assert spearman(truth, answers) == pytest.approx(0.8)
    assert pearson(truth, answers) == pytest.approx(np.corrcoef(truth, answers)[0, 1])
    assert pearson(truth, np.ones(4)) == spearman(np.ones(4), answers) == 0.0
    # 3 true positives, 2 true negatives, 1 false positive, 2 false negatives.
    truth, answers = np.array([1, 1, 1, 1, 1, 0, 0, 0]), np.array([1, 1, 1, 0, 0, 1, 0, 0])
    assert matthews(truth, answers) == pytest.approx((3 * 2 - 1 * 2) / np.sqrt(4 * 5 * 3 * 4))
    assert matthews(truth, np.ones(8, int)) == 0.0


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """The defining property: over many test sets of a model that is right 70% of the time."""
    rng = np.random.default_rng(0)
    held = 0
    for i in range(60):
        right = rng.random(200) < 0.7
        judged = Bootstrap(
            np.ones(200, int),
            {"m": right.astype(int)},
            rng=np.random.default_rng(i),
            metrics={"accuracy": accuracy},
        )
        interval = judged.score("m", "accuracy")
        held += interval.low <= 0.7 <= interval.high
    assert 51 <= held <= 60


def test_ratios_and_differences_are_paired() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    first = np.where(rng.random(300) < 0.7, truth, (truth + 1) % 3)
    second = first.copy()
    second[:12] = (truth[:12] + 2) % 3  # wrong in a few rows more, right in the same ones elsewhere
    judged = Bootstrap(truth, {"first": first, "second": second}, rng=rng)
    for metric in METRICS:
        same = judged.ratio("first", "first", metric)
        assert (same.value, same.low, same.high) == (1.0, 1.0, 1.0)
        gap = judged.difference("first", "second", metric)
        alone = judged.score("first", metric)
        assert gap.value > 0
        assert gap.low > 0, "paired, the small gap is beyond doubt"
        assert gap.high - gap.low < (alone.high - alone.low) / 2
