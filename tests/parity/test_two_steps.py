"""A model that is trained by the peer's code and by ours, from the same weights, stays the same model."""

from typing import Any

import pytest
import torch
from models import CONFIGS, scatter
from peer import largest_difference, peer_of
from torch import Tensor

import distilbert

HEADS = ["Model", "ForMaskedLM", "ForSequenceClassification", "ForMultipleChoice", "ForTokenClassification",
         "ForQuestionAnswering"]  # fmt: skip


def build(head: str) -> Any:
    config = distilbert.DistilBertConfig.from_dict(
        CONFIGS["usual"].to_dict(),
        dropout=0.0,
        attention_dropout=0.0,
        seq_classif_dropout=0.0,
        qa_dropout=0.0,
    )
    return scatter(getattr(distilbert, f"DistilBert{head}")(config))


def batches(head: str, count: int = 2) -> list[dict[str, Tensor]]:
    """Texts of different lengths where the peer counts what we do: its answers' limits count padding in."""
    generator = torch.Generator().manual_seed(0)

    def draw(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator)

    made = []
    for _ in range(count):
        shape = (4, 2, 10) if head == "ForMultipleChoice" else (4, 10)
        lengths = draw(9, *shape[:-1], 1) + 2
        mask = (torch.arange(shape[-1]) < lengths).long()
        if head == "ForQuestionAnswering":
            mask = torch.ones_like(mask)
        given = {"input_ids": draw(60, *shape), "attention_mask": mask}
        if head == "ForQuestionAnswering":
            given |= {"start_positions": draw(10, 4), "end_positions": draw(10, 4)}
        elif head in ("ForMaskedLM", "ForTokenClassification"):
            labels = draw(60 if "LM" in head else 2, *shape)
            given["labels"] = labels.masked_fill(mask == 0, -100)
        elif head != "Model":
            given["labels"] = draw(2, 4)
        made.append(given)
    return made


def train(model: Any, given: list[dict[str, Tensor]], *, eps: float = 1e-8) -> list[float]:
    """Two steps of AdamW, and their losses; of the base model any number that every part has a share in."""
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, eps=eps)
    losses = []
    for batch in given:
        output = model(**batch)
        loss = output[0]
        if "labels" not in batch and "start_positions" not in batch:
            live = batch["attention_mask"][..., None]
            loss = ((loss * live).sin().sum(1) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("head", HEADS)
def test_two_steps_of_training_are_the_peers(head: str) -> None:
    ours = build(head)
    theirs, before = peer_of(ours), {name: p.clone() for name, p in ours.named_parameters()}
    given = batches(head)
    # Some gradients are sums that cancel, such as that of a bias which all scores share. What is left is
    # rounding, of which Adam makes whole steps unless its epsilon is larger, or the precision (below).
    mine, peers = train(ours, given, eps=1e-5), train(theirs, given, eps=1e-5)
    assert mine == pytest.approx(peers, abs=1e-5)
    after = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert largest_difference(parameter, after[name]) <= 1e-5, name
    moved = [name for name, p in ours.named_parameters() if largest_difference(p, before[name]) > 1e-4]
    assert len(moved) >= 0.8 * len(before)


@pytest.mark.parametrize("head", HEADS)
def test_two_steps_in_double_precision_are_the_peers(head: str) -> None:
    ours = build(head)
    theirs = peer_of(ours).double()
    ours.double()
    given = batches(head)
    assert train(ours, given) == pytest.approx(train(theirs, given), abs=1e-10)
    after = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert largest_difference(parameter, after[name]) <= 1e-8, name


def test_another_step_would_be_noticed() -> None:
    ours = build("ForMaskedLM")
    theirs = peer_of(ours)
    given = batches("ForMaskedLM")
    train(ours, given)
    train(theirs, [{**batch, "labels": batch["labels"].roll(1, 0)} for batch in given])
    after = dict(theirs.named_parameters())
    assert all(largest_difference(p, after[name]) > 1e-4 for name, p in ours.named_parameters())
