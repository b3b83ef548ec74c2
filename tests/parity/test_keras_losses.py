"""The Keras wing's losses against PyTorch's and the numpy oracle's, with their gradients."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from keras_twins import difference, numbers

from distilbert.core import reference
from distilbert.torch import losses as torch_losses

keras = pytest.importorskip("keras", reason="Keras is not installed: pip install 'distilbert[keras]'")

import tensorflow as tf  # noqa: E402  # after the skip

from distilbert.keras import losses  # noqa: E402

RNG = np.random.default_rng(0)
STUDENT, TEACHER = (RNG.normal(size=(5, 7)).astype(np.float32) * 3 for _ in range(2))
GAPS = TEACHER.copy()
GAPS[0, 2], GAPS[1, :] = np.nan, -np.inf
LABELS = np.array([0, 6, 3, 3, 1])
TRUTH = (RNG.random((5, 7)) < 0.5).astype(np.float32)
TRUTH[2, 2] = np.nan
WEIGHTS = RNG.random(7).astype(np.float32)
WORDS = np.argsort(-TEACHER, axis=1)[:, :3].astype(np.int64)
LOGS = np.log(np.concatenate([np.full((5, 3), 0.3), np.full((5, 1), 0.1)], axis=1)).astype(np.float32)

CASES: dict[str, tuple[str, tuple[Any, ...], dict[str, float]]] = {
    "labels": ("cross_entropy_sum", (LABELS,), {}),
    "weighted labels": ("cross_entropy_sum", (LABELS, WEIGHTS), {}),
    "a distribution": ("distribution_sum", (TEACHER,), {"temperature": 2.0}),
    "a distribution with gaps": ("known_distribution_sum", (GAPS,), {"temperature": 2.0}),
    "several labels": ("binary_sum", (TRUTH,), {}),
    "several weighted labels": ("binary_sum", (TRUTH, WEIGHTS), {}),
    "several labels of a teacher": ("binary_divergence_sum", (GAPS,), {"temperature": 3.0}),
    "numbers": ("square_sum", (TRUTH,), {}),
    "likeliest words": ("answers_sum", (WORDS, LOGS), {"temperature": 2.0}),
    "Jensen-Shannon": ("jensen_shannon_sum", (TEACHER,), {"temperature": 2.0}),
    "logits": ("logits_error_sum", (TEACHER,), {}),
    "states": ("states_error_sum", (TEACHER,), {}),
    "cosines": ("cosine_sum", (TEACHER,), {}),
}


def valued(loss: Any, student: np.ndarray, *others: Any) -> tuple[Any, Any]:
    """A loss and its slope, by a graph."""

    @tf.function
    def step(student: Any, *others: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = loss(student, *others)
        return value, tape.gradient(value, student)

    return step(*map(tf.constant, (student, *others)))


@pytest.mark.parametrize("case", CASES)
def test_sums_and_their_gradients_are_torch_s(case: str) -> None:
    name, others, settings = CASES[case]
    loss = partial(getattr(losses, name), **settings)
    value, slope = valued(loss, STUDENT, *others)
    student = torch.from_numpy(STUDENT).requires_grad_()
    told = getattr(torch_losses, name)(student, *map(torch.from_numpy, others), **settings)
    told.backward()
    size = max(1.0, abs(float(told.detach())))
    assert difference(value, told) <= 1e-5 * size
    assert difference(slope, student.grad) <= 1e-5 * size
    # Of other logits it is another number.
    assert abs(float(valued(loss, STUDENT[::-1], *others)[0]) - float(value)) > 1e-3


def test_three_of_them_are_the_references() -> None:
    for ours, told in (
        (
            losses.cross_entropy_sum(tf.constant(STUDENT), tf.constant(LABELS)),
            reference.cross_entropy(STUDENT, LABELS),
        ),
        (
            losses.distribution_sum(tf.constant(STUDENT), tf.constant(TEACHER), temperature=2.0),
            reference.distribution_loss(STUDENT, TEACHER, 2.0),
        ),
        (
            losses.cosine_sum(tf.constant(STUDENT), tf.constant(TEACHER)),
            reference.cosine_loss(STUDENT, TEACHER),
        ),
    ):
        np.testing.assert_allclose(float(ours), told.sum(), rtol=1e-5)


def test_a_state_of_zeros_has_a_slope_that_is_a_number() -> None:
    _, slope = valued(losses.cosine_sum, np.zeros((2, 7), np.float32), TEACHER[:2])
    assert np.isfinite(numbers(slope)).all()
