"""What chance alone may come to, held against peers and against guesses of it."""

import numpy as np
import pytest

from distilbert.core.tasks import chance

RNG = np.random.default_rng(0)


def test_correlations_are_the_peers() -> None:
    from scipy.stats import pearsonr
    from sklearn.metrics import matthews_corrcoef

    true, said = RNG.integers(0, 4, 200), RNG.integers(0, 4, 200)
    said[:80] = true[:80]
    assert chance.of_labels(said, true, 4).value == pytest.approx(matthews_corrcoef(true, said))
    one, other = RNG.normal(size=(2, 200))
    assert chance.of_numbers(one, other + one).value == pytest.approx(pearsonr(one, other + one).statistic)
    assert chance.of_numbers(one * 0 + 3, other).value == 0
    scores, truth = RNG.normal(size=(200, 3)), RNG.integers(0, 2, (200, 3))
    truth[:, 2] = 0
    each = [pearsonr(scores[:, i], truth[:, i]).statistic for i in range(2)]
    assert chance.of_several(scores, truth).value == pytest.approx(np.mean(each)), (
        "what is never true says nothing"
    )


@pytest.mark.parametrize("kind", ["labels", "several", "numbers", "options", "spans"])
def test_guesses_hardly_ever_exceed_chance(kind: str) -> None:
    """Of 200 teachers that guess, a twentieth or less; of those that know a little, hardly one does not."""
    beyond = {0.0: 0, 0.5: 0}
    for share in beyond:
        for _ in range(200):
            known = RNG.random(120) < share
            if kind == "labels":
                true = (RNG.random(120) < 0.1).astype(np.int64)
                found = chance.of_labels(np.where(known, true, RNG.random(120) < 0.2), true, 2)
            elif kind == "several":
                truth = RNG.integers(0, 2, (120, 3))
                found = chance.of_several(known[:, None] * truth + RNG.normal(size=(120, 3)), truth)
            elif kind == "numbers":
                one = RNG.normal(size=120)
                found = chance.of_numbers(known * one + RNG.normal(size=120), one)
            elif kind == "options":
                sizes = RNG.integers(2, 5, 120)
                answers = RNG.integers(0, sizes)
                found = chance.of_options(np.where(known, answers, RNG.integers(0, sizes)), answers, sizes)
            else:
                wanted, told = RNG.integers(0, 90, (2, 120))
                told = np.where(known, wanted, told)
                found = chance.of_spans(
                    [((t, t + 8), (w, w + 6), (0, 100)) for t, w in zip(told, wanted, strict=True)]
                )
            assert found.answers == 120
            assert not found.order
            beyond[share] += found.value > found.by_chance
    assert beyond[0.0] <= 20
    assert beyond[0.5] >= 190


def test_spans_by_hand() -> None:
    found = chance.of_spans([((0, 4), (2, 6), (0, 6))] * 3)
    assert found.value == pytest.approx(2 * 2 / 8)
    assert found.by_chance == pytest.approx(2 * np.mean([2, 3, 4]) / 8), (
        "at 0, 1 and 2 it would share 2, 3 and 4"
    )


@pytest.mark.parametrize("order", [(1, 0, 2), (1, 2, 0), (0, 1, 2)])
def test_classes_that_are_called_by_each_others_names(order: tuple[int, ...]) -> None:
    """Also where one of them is nearly always right, and where one is never said."""
    true = RNG.choice(3, 300, p=[0.8, 0.1, 0.1])
    called = np.argsort(order)
    expected = () if order == (0, 1, 2) else order
    found = chance.of_labels(called[true], true, 3)
    assert found.order == expected
    assert not expected or found.in_order == pytest.approx(1.0)
    assert chance.of_labels(called[true], true, 4).order == (expected and (*expected, 3))
    truth = RNG.integers(0, 2, (300, 3))
    assert chance.of_several(truth[:, order] + RNG.normal(size=(300, 3)) / 2, truth).order == expected
