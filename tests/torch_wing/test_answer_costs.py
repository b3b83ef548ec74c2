"""What answers cost, by hand and against PyTorch's own; and that what is not known costs nothing."""

import pytest
import torch
from torch.nn import functional as F

from distilbert.torch.losses import (
    binary_divergence_sum,
    binary_sum,
    cross_entropy_sum,
    distribution_sum,
    known_distribution_sum,
    square_sum,
)

NAN = float("nan")


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_distribution_that_is_known_whole(temperature: float) -> None:
    student, teacher = drawn(5, 4), drawn(5, 4, seed=1)
    expected = distribution_sum(student, teacher, temperature=temperature)
    found = known_distribution_sum(student, teacher, temperature=temperature)
    assert found == pytest.approx(expected.item(), rel=1e-6)
    assert known_distribution_sum(teacher, teacher, temperature=temperature).abs() < 1e-6


def test_choices_of_several_numbers_and_rows_of_which_nothing_is_known() -> None:
    student, teacher = drawn(4, 3), drawn(4, 3, seed=1)
    student[1, 2], teacher[1, 2] = float("-inf"), NAN  # two options
    teacher[3] = NAN
    student.requires_grad_()
    found = known_distribution_sum(student, teacher, temperature=2.0)
    expected = distribution_sum(student[[0, 2]], teacher[[0, 2]], temperature=2.0) + distribution_sum(
        student[1:2, :2], teacher[1:2, :2], temperature=2.0
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    wrong = distribution_sum(student[[0, 2]], teacher[[0, 2]], temperature=2.0)
    assert abs(found.item() - wrong.item()) > 1e-2, "the row of two options counts"
    found.backward()
    assert student.grad.isfinite().all()
    assert student.grad[3].abs().max() == 0
    assert student.grad[1, 2] == 0
    assert student.grad[0].abs().max() > 1e-3


def test_the_labels_of_choices_of_several_numbers() -> None:
    logits = drawn(2, 3)
    logits[1, 2] = float("-inf")
    logits.requires_grad_()
    loss = cross_entropy_sum(logits, torch.tensor([2, 0]))
    alone = F.cross_entropy(logits[:1], torch.tensor([2])) + F.cross_entropy(
        logits[1:, :2], torch.tensor([0])
    )
    assert loss.item() == pytest.approx(alone.item(), rel=1e-6)
    loss.backward()
    assert logits.grad.isfinite().all()


def test_labels_that_may_be_true_together() -> None:
    logits, truth = drawn(3, 4), (drawn(3, 4, seed=1) > 0).float()
    mean = F.binary_cross_entropy_with_logits(logits, truth)
    assert binary_sum(logits, truth).item() == pytest.approx(3 * mean.item(), rel=1e-6)
    truth[2] = NAN
    mean = F.binary_cross_entropy_with_logits(logits[:2], truth[:2])
    assert binary_sum(logits, truth).item() == pytest.approx(2 * mean.item(), rel=1e-6)


def test_the_divergence_of_labels_that_may_be_true_together() -> None:
    """By hand, at a temperature: T² times the mean over labels of p log(p/q) + (1-p) log((1-p)/(1-q))."""
    student, teacher = drawn(3, 4).double(), drawn(3, 4, seed=1).double()
    q, p = torch.sigmoid(student / 2), torch.sigmoid(teacher / 2)
    by_hand = 4 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean(-1)
    found = binary_divergence_sum(student, teacher, temperature=2.0)
    assert found.item() == pytest.approx(by_hand.sum().item(), rel=1e-9)
    teacher[0] = NAN
    found = binary_divergence_sum(student, teacher, temperature=2.0)
    assert found.item() == pytest.approx(by_hand[1:].sum().item(), rel=1e-9)


def test_numbers() -> None:
    values = torch.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    loss = square_sum(values, torch.tensor([[0.5], [NAN], [5.0]]))
    assert loss.item() == 0.25 + 4
    loss.backward()
    assert values.grad.flatten().tolist() == [1.0, 0.0, -4.0]
