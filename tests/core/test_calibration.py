"""Temperature, thresholds and calibration error, against known answers, brute force and scikit-learn."""

import numpy as np
import pytest

from distilbert.core.tasks.calibration import (
    MOST,
    Calibration,
    calibration_error,
    fit_null_threshold,
    fit_temperature,
    fit_thresholds,
    reliability,
)
from distilbert.core.tasks.decisions import Decisions
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification


def drawn(rows: int, classes: int, *, several: bool = False, seed: int = 0) -> Decisions:
    """Logits whose softmax, or sigmoid, is exactly how often each class is true."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (rows, classes))
    made = Decisions(logits, np.zeros((rows, classes) if several else rows, np.int64), np.arange(rows))
    likely = made.probabilities()
    if several:
        truth = (rng.random(likely.shape) < likely).astype(np.int64)
    else:
        truth = (likely.cumsum(1) < rng.random((rows, 1))).sum(1)
    return Decisions(logits, truth, made.of)


def scaled(decided: Decisions, by: float) -> Decisions:
    return Decisions(decided.logits * by, decided.truth, decided.of)


def nll(decided: Decisions, temperature: float) -> float:
    likely = decided.probabilities(temperature)
    if decided.several:
        return -float(np.log(np.where(decided.truth > 0, likely, 1 - likely)).sum())
    return -float(np.log(likely[np.arange(len(likely)), decided.truth]).sum())


@pytest.mark.parametrize("several", [False, True])
def test_a_known_scaling_is_found(several: bool) -> None:
    decided = drawn(20_000, 4, several=several)
    base = fit_temperature(decided)
    assert base == pytest.approx(1.0, abs=0.03)
    for by in (0.3, 2.5, 7.0):
        # The likelihood is the same at the same logits, so the temperature follows to the last digits.
        assert fit_temperature(scaled(decided, by)) == pytest.approx(base * by, rel=1e-9)


@pytest.mark.parametrize("several", [False, True])
def test_no_other_temperature_is_likelier(several: bool) -> None:
    decided = scaled(drawn(300, 3, several=several, seed=3), 3.0)
    best = fit_temperature(decided)
    least = nll(decided, best)
    assert all(nll(decided, best * factor) > least for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2))


def test_the_threshold_of_no_answer() -> None:
    """Against all there are, by brute force; a step beyond the last where all are to be answered."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        margins = rng.integers(-5, 6, 30).astype(float)
        margins[0] = np.inf  # nothing but that could be told, whatever the threshold
        scores = rng.random((30, 2)).round(1)

        def mean(threshold: float, margins: np.ndarray = margins, scores: np.ndarray = scores) -> float:
            return float(np.where(margins > threshold, scores[:, 1], scores[:, 0]).mean())

        found = fit_null_threshold(margins, scores)
        halves = np.arange(-6.5, 7)
        assert mean(found) == pytest.approx(max(map(mean, halves)))
        assert not any(abs(one) < abs(found) - 0.5 and mean(one) == mean(found) for one in halves)
    answered, unanswered = (np.tile(scores, (2, 1)) for scores in ([1.0, 0.0], [0.0, 1.0]))
    assert fit_null_threshold(np.array([-1.0, 3.0]), answered) == 4.0
    assert fit_null_threshold(np.array([-1.0, 3.0]), unanswered) == -2.0
    assert fit_null_threshold(np.array([2.0, 4.0]), np.array([[1.0, 0.0], [0.0, 1.0]])) == 3.0


def test_where_there_is_nothing_to_fit() -> None:
    right = Decisions(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0, 1]), np.arange(2))
    assert fit_temperature(right) == 1.0
    wrong = Decisions(right.logits, 1 - right.truth, right.of)
    assert fit_temperature(wrong) == MOST


def test_fewer_choices_in_some_decisions() -> None:
    """A choice that is not there weighs nothing: padded decisions have the likelihood of unpadded ones."""
    logits = np.array([[2.0, 0.0, -np.inf], [0.0, 1.0, -np.inf], [0.5, 0.0, -np.inf]])
    truth = np.array([0, 1, 1])
    padded = Decisions(logits, truth, np.arange(3))
    plain = Decisions(logits[:, :2], truth, np.arange(3))
    assert fit_temperature(padded) == pytest.approx(fit_temperature(plain), rel=1e-12)
    np.testing.assert_allclose(padded.probabilities()[:, :2], plain.probabilities())


def test_no_answer_changes_by_a_temperature() -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(1000, 7)).astype(np.float32)
    logits[:, 3] = np.nextafter(logits.max(axis=1), np.float32(-9))  # as near to the largest as can be
    for temperature in (0.07, 1.37, 19.0):
        applied = np.stack(Calibration(temperature).applied(list(logits)))
        assert (applied.argmax(axis=1) == logits.argmax(axis=1)).all()
    # Where the division is done as narrowly as logits come, some do.
    assert (np.float32(1 / 1.37) * logits).argmax(axis=1).tolist() != logits.argmax(axis=1).tolist()


def test_the_calibration_error_of_a_case_done_by_hand() -> None:
    """Two bins: three decisions of 0.9 of which two are right, one of 0.3 that is not."""
    confidence, right = np.array([0.9, 0.9, 0.9, 0.3]), np.array([True, True, False, False])
    expected = 3 / 4 * abs(2 / 3 - 0.9) + 1 / 4 * 0.3
    assert calibration_error(confidence, right) == pytest.approx(expected)
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0.0
    assert calibration_error(np.array([1.0, 1.0]), np.array([False, False])) == 1.0
    # Of opposite errors in one bin only what is left counts; in two bins both do.
    both = np.array([0.51, 0.99]), np.array([True, False])
    assert calibration_error(*both, bins=2) == pytest.approx(0.25)
    assert calibration_error(*both, bins=15) == pytest.approx((0.49 + 0.99) / 2)


def test_bins_are_scikit_learns() -> None:
    from sklearn.calibration import calibration_curve

    sure, right = drawn(5000, 3).confidence()
    ours = reliability(sure, right)
    share, mean = calibration_curve(right, sure, n_bins=15)
    np.testing.assert_allclose([one.right for one in ours], share)
    np.testing.assert_allclose([one.confidence for one in ours], mean)
    assert sum(one.decisions for one in ours) == 5000
    assert all(one.low < one.confidence <= one.high for one in ours)


def test_the_error_falls_where_a_temperature_is_fitted() -> None:
    decided = scaled(drawn(5000, 3), 4.0)
    before = calibration_error(*decided.confidence())
    after = calibration_error(*decided.confidence(fit_temperature(decided)))
    assert before > 0.15
    assert after < 0.03


def f1(truth: np.ndarray, told: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, told, zero_division=0))


def test_thresholds_against_brute_force() -> None:
    rng = np.random.default_rng(2)
    for rows in (1, 2, 7, 40):
        # Few values, so that rows share them.
        likely = np.round(rng.random((rows, 5)), 1 if rows > 7 else 6)
        truth = (rng.random((rows, 5)) < likely * 0.6).astype(np.int64)
        found = fit_thresholds(truth, likely)
        for i, threshold in enumerate(found):
            best = max(f1(truth[:, i], likely[:, i] >= cut) for cut in [*np.unique(likely[:, i]), 0.5, 1.0])
            assert f1(truth[:, i], likely[:, i] >= threshold) == pytest.approx(best)
            assert 0 < threshold < 1


def test_a_threshold_lies_between_what_it_parts() -> None:
    likely = np.array([[0.4], [0.3], [0.2], [0.1]])
    assert fit_thresholds(np.array([[1], [1], [0], [0]]), likely) == [pytest.approx(0.25)]
    assert fit_thresholds(np.array([[0]] * 4), likely) == [0.5]
    # One half does as well as the middle: nothing is changed.
    assert fit_thresholds(np.array([[1], [1], [0], [0]]), np.array([[0.9], [0.8], [0.3], [0.2]])) == [0.5]
    # All are told, however little likely.
    assert fit_thresholds(np.ones((4, 1), np.int64), likely) == [pytest.approx(0.05)]


def test_answers_and_metrics_hear_the_same_thresholds() -> None:
    decided = drawn(200, 3, several=True, seed=8)
    labels = ("a", "b", "c")
    fitted = Calibration.fitted(scaled(decided, 2.0), labels)
    task = fitted.task(MultiLabelClassification(labels))
    logits = fitted.applied(list(decided.logits * 2.0))
    told = task.told(logits, None)
    answers = task.answers(logits)
    for row, answer in zip(told, answers, strict=True):
        assert {label for label, one in zip(labels, row, strict=True) if one >= 0.5} == set(answer.labels)
        assert set(answer.labels) == {
            label for label in labels if answer.scores[label] >= fitted.thresholds[label]
        }
    plain = MultiLabelClassification(labels).told(logits, None)
    assert ((told >= 0.5) != (plain >= 0.5)).any()
    assert (np.argsort(told, axis=0) == np.argsort(plain, axis=0)).all()
    assert Calibration.from_facts(fitted.facts()) == fitted
    assert Calibration().task(task) == MultiLabelClassification(labels)
