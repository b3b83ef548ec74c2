"""Paired tests of models, against exact enumeration and models whose difference is known."""

from itertools import product
from math import comb

import numpy as np
import pytest

from distilbert.core.tasks.comparison import compare, holm, permuted
from distilbert.core.tasks.metrics import accuracy, matthews


def answers(truth: np.ndarray, wrong: list[int]) -> np.ndarray:
    told = truth.copy()
    told[wrong] = 1 - told[wrong]
    return told


@pytest.fixture
def truth() -> np.ndarray:
    return np.arange(200) % 2


def test_a_known_difference_is_found_and_none_is_not(truth: np.ndarray) -> None:
    good, poor = answers(truth, list(range(10))), answers(truth, list(range(40)))
    other = answers(truth, list(range(100, 110)))  # as good, elsewhere
    found = compare(
        truth,
        good,
        {"poor": poor, "other": other, "itself": good},
        metrics={"accuracy": accuracy, "matthews": matthews},
        seed=0,
    )
    difference = found["poor"]["accuracy"]["difference"]
    assert difference["value"] == pytest.approx(0.15)
    assert 0 < difference["low"] < 0.15 < difference["high"]
    assert found["poor"]["accuracy"]["value"] == pytest.approx(0.8)
    assert found["poor"]["accuracy"]["p"] == pytest.approx(1 / 1001)
    assert found["poor"]["matthews"]["p"] < 0.01
    assert found["other"]["accuracy"]["difference"]["value"] == 0
    assert found["other"]["accuracy"]["p"] == 1.0
    assert found["itself"]["matthews"]["p"] == 1.0
    assert found["itself"]["accuracy"]["difference"] == {"value": 0, "low": 0, "high": 0}
    assert found["poor"]["accuracy"]["p_of_all"] == pytest.approx(3 / 1001)


@pytest.mark.parametrize(("only_one", "only_other"), [(7, 1), (5, 3), (4, 4), (9, 2)])
def test_of_accuracy_it_is_mcnemars_exact_test(truth: np.ndarray, only_one: int, only_other: int) -> None:
    """Where both answer alike a swap changes nothing, so that the rest is a toss of coins."""
    one, other = answers(truth, list(range(only_other))), answers(truth, list(range(50, 50 + only_one)))
    n = only_one + only_other
    exact = sum(comb(n, k) for k in range(n + 1) if abs(n - 2 * k) >= abs(only_one - only_other)) / 2**n
    found = permuted(truth, one, other, metrics={"accuracy": accuracy}, rng=np.random.default_rng(1))
    assert found["accuracy"] == pytest.approx(exact, abs=3.5 * np.sqrt(exact * (1 - exact) / 1000) + 1e-3)


def test_of_another_metric_it_is_what_all_swaps_give() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    one = np.array([0, 0, 1, 1, 1, 2, 2, 0])
    other = np.array([0, 1, 1, 1, 0, 2, 0, 1])
    observed = abs(matthews(truth, one) - matthews(truth, other))
    beyond = []
    for swaps in product((False, True), repeat=8):
        a, b = np.where(swaps, other, one), np.where(swaps, one, other)
        beyond.append(abs(matthews(truth, a) - matthews(truth, b)) >= observed - 1e-12)
    exact = float(np.mean(beyond))
    found = permuted(truth, one, other, metrics={"matthews": matthews}, rng=np.random.default_rng(1))[
        "matthews"
    ]
    assert found == pytest.approx(exact, abs=0.05)
    assert 0.05 < exact < 0.95


def test_pairing_is_what_makes_it_sharp(truth: np.ndarray) -> None:
    """A model that errs where the other does, and on eight rows more: their own intervals overlap."""
    from distilbert.core.tasks.metrics import Bootstrap

    hard = list(range(60))
    one, other = answers(truth, hard), answers(truth, [*hard, *range(100, 108)])
    both = Bootstrap(
        truth, {"one": one, "other": other}, rng=np.random.default_rng(0), metrics={"accuracy": accuracy}
    )
    assert both.score("other", "accuracy").high > both.score("one", "accuracy").low
    found = compare(truth, one, {"other": other}, metrics={"accuracy": accuracy}, seed=0)["other"]["accuracy"]
    assert found["p"] < 0.05
    assert found["difference"]["low"] > 0


def test_rows_of_several_numbers_are_swapped_whole() -> None:
    """Of identical columns, which a swap by number would part."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 30)
    one, other = (np.repeat(rng.random((30, 1)), 4, axis=1) for _ in range(2))
    seen = []

    def metric(truth: np.ndarray, told: np.ndarray) -> float:
        seen.append(bool((told == told[:, :1]).all()))
        return float(told.mean())

    permuted(truth, one, other, metrics={"mean": metric}, rng=rng)
    assert len(seen) > 2000
    assert all(seen)


def test_chance_alone_is_found_as_often_as_it_says() -> None:
    """Of models that differ by chance, about one in ten has a p of at most a tenth."""
    rng = np.random.default_rng(4)
    truth = np.zeros(60, np.int64)
    found = [
        permuted(
            truth,
            (rng.random(60) < 0.3).astype(np.int64),
            (rng.random(60) < 0.3).astype(np.int64),
            metrics={"accuracy": accuracy},
            rng=rng,
        )["accuracy"]
        for _ in range(60)
    ]
    assert np.mean(np.array(found) <= 0.1) <= 0.1 + 3 * np.sqrt(0.09 / 60)
    assert np.mean(found) > 0.4


def test_holms_correction_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == [0.02]
