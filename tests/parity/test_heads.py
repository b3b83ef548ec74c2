"""Heads, losses and gradients against the peer's."""

import pytest
import torch
from models import CONFIGS, TEACHER, batch, scatter
from peer import ATOL, largest_difference, peer_of
from torch.nn import functional as F

from distilbert import (
    BertForMaskedLM,
    BertForSequenceClassification,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
)
from distilbert.core import reference

LANGUAGE_MODELS = {
    **{name: (DistilBertForMaskedLM, config) for name, config in CONFIGS.items()},
    "teacher": (BertForMaskedLM, TEACHER),
}

#: problem_type, number of labels, and the labels of a batch of four.
PROBLEMS = {
    "inferred classes": (None, 3, torch.tensor([0, 2, 1, 2])),
    "inferred regression": (None, 1, torch.tensor([0.5, -1.0, 2.0, 0.1])),
    "inferred several": (None, 3, torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])),
    "classes": ("single_label_classification", 3, torch.tensor([0, 2, 1, 2])),
    "regression": ("regression", 2, torch.rand(4, 2)),
    "several": ("multi_label_classification", 2, torch.tensor([[1.0, 0], [0, 0], [1, 1], [0, 1]])),
}


def full_batch(config):
    """The peer's heads read column 0 and count padding in; on full rows there is no difference."""
    input_ids, _ = batch(config)
    return input_ids, torch.ones_like(input_ids)


def assert_same_step(ours, theirs, *inputs, **labels) -> None:
    """The same loss, logits, and gradient of every parameter."""
    mine, other = ours(*inputs, **labels), theirs(*inputs, **labels)
    assert largest_difference(mine.loss, other.loss) <= ATOL
    assert largest_difference(mine.logits, other.logits) <= ATOL
    mine.loss.backward()
    other.loss.backward()
    gradients = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    rename = {p.key: p.file_key for p in ours.manifest}
    peers = dict(theirs.named_parameters())
    assert gradients
    for name, gradient in gradients.items():
        assert largest_difference(gradient, peers[rename[name]].grad) <= ATOL, name


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_masked_language_model(name: str) -> None:
    kind, config = LANGUAGE_MODELS[name]
    model = scatter(kind(config))
    input_ids, mask = full_batch(config)
    labels = torch.where(torch.rand(input_ids.shape) < 0.4, input_ids, -100)
    assert_same_step(model, peer_of(model), input_ids, mask, labels=labels)


def test_masked_language_model_is_the_references() -> None:
    for kind, config in LANGUAGE_MODELS.values():
        model = scatter(kind(config))
        input_ids, mask = full_batch(config)
        with torch.no_grad():
            ours = model(input_ids, mask).logits
        arrays = model.arrays()
        hidden = reference.encode(config, arrays, input_ids.numpy()).last_hidden_state
        told = reference.masked_lm_logits(config, arrays, hidden)
        assert abs(ours.numpy() - told).max() <= ATOL


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("kind", [DistilBertForSequenceClassification, BertForSequenceClassification])
def test_classifier(kind: type, problem: str) -> None:
    problem_type, count, labels = PROBLEMS[problem]
    config = TEACHER if kind is BertForSequenceClassification else CONFIGS["usual"]
    config = type(config).from_dict(config.to_dict(), num_labels=count, problem_type=problem_type)
    model = scatter(kind(config))
    assert_same_step(model, peer_of(model), *full_batch(config), labels=labels)
    assert model.config.problem_type == problem_type  # a call must not change the configuration


@pytest.mark.parametrize("kind", [DistilBertForSequenceClassification, BertForSequenceClassification])
def test_classifier_is_the_references_under_either_padding(kind: type) -> None:
    config = TEACHER if kind is BertForSequenceClassification else CONFIGS["usual"]
    model = scatter(kind(config))
    for side in ("right", "left"):
        input_ids, mask = batch(config, side=side)
        with torch.no_grad():
            ours = model(input_ids, mask).logits
        arrays, live = model.arrays(), mask.numpy()
        hidden = reference.encode(config, arrays, input_ids.numpy(), live).last_hidden_state
        told = reference.class_logits(config, arrays, hidden, live.argmax(axis=1))
        assert abs(ours.numpy() - told).max() <= ATOL


def test_a_text_gets_the_same_answer_alone_and_among_others() -> None:
    model = scatter(DistilBertForSequenceClassification(CONFIGS["usual"]))
    input_ids, mask = batch(model.config)
    with torch.no_grad():
        together = model(input_ids, mask).logits
        for i, length in enumerate(mask.sum(1).tolist()):
            if length:
                alone = model(input_ids[i : i + 1, :length]).logits[0]
                assert largest_difference(alone, together[i]) <= ATOL


def test_outputs_by_every_access() -> None:
    model = scatter(DistilBertForMaskedLM(CONFIGS["usual"]))
    input_ids, mask = full_batch(model.config)
    with torch.no_grad():
        output = model(input_ids, mask, labels=input_ids, output_hidden_states=True)
        as_tuple = model(input_ids, mask, labels=input_ids, output_hidden_states=True, return_dict=False)
    assert output.loss is output["loss"] is output[0]
    assert output.attentions is None
    assert "attentions" not in output
    assert isinstance(as_tuple, tuple)
    loss, logits, hidden_states = output
    assert [type(part) for part in as_tuple] == [type(loss), type(logits), type(hidden_states)]
    assert torch.equal(as_tuple[1], logits)
    with pytest.raises(AttributeError, match="has no 'logit'"):
        output.logit  # noqa: B018  # the access is what is tested


def test_dropout_acts_in_training_only_and_where_the_peers_does() -> None:
    """With every rate at one, what is dropped shows in what is left."""
    config = type(CONFIGS["usual"]).from_dict(CONFIGS["usual"].to_dict(), dropout=1.0, attention_dropout=1.0)
    model = scatter(DistilBertForMaskedLM(config))
    peer = peer_of(model)
    inputs = full_batch(config)
    with torch.no_grad():
        assert largest_difference(model.train()(*inputs).logits, peer.train()(*inputs).logits) <= ATOL
        dropped = model(*inputs).logits
        assert largest_difference(dropped, model.eval()(*inputs).logits) > 1e-2


def test_the_teachers_dropout_is_where_the_peers_is() -> None:
    config = type(TEACHER).from_dict(
        TEACHER.to_dict(), hidden_dropout_prob=1.0, attention_probs_dropout_prob=0.0, num_labels=3
    )
    model = scatter(BertForSequenceClassification(config)).train()
    peer = peer_of(model).train()
    inputs = full_batch(config)
    with torch.no_grad():
        ours = model.bert(*inputs).last_hidden_state
        theirs = peer.bert(*inputs).last_hidden_state
    assert largest_difference(ours, theirs) <= ATOL


def test_sum_losses_are_the_references() -> None:
    from distilbert.torch import losses

    torch.manual_seed(0)
    student, teacher = 3 * torch.randn(7, 11), 3 * torch.randn(7, 11)
    labels = torch.randint(0, 11, (7,))
    s, t = student.double().numpy(), teacher.double().numpy()
    pairs = {
        "labels": (losses.cross_entropy_sum(student, labels), reference.cross_entropy(s, labels.numpy())),
        "distribution": (
            losses.distribution_sum(student, teacher, temperature=2.0),
            reference.distribution_loss(s, t, 2.0),
        ),
        "cosine": (losses.cosine_sum(student, teacher), reference.cosine_loss(s, t)),
    }
    for ours, told in pairs.values():
        assert float(ours) == pytest.approx(told.sum(), rel=1e-6)


def test_distribution_loss_has_the_properties_of_one() -> None:
    from distilbert.torch.losses import distribution_sum

    torch.manual_seed(0)
    logits, other = torch.randn(5, 9), torch.randn(5, 9)
    assert float(distribution_sum(logits, logits, temperature=2.0)) == pytest.approx(0, abs=1e-6)
    assert float(distribution_sum(logits, other, temperature=2.0)) > 0
    shifted = distribution_sum(logits + 4.0, other - 3.0, temperature=2.0)
    torch.testing.assert_close(shifted, distribution_sum(logits, other, temperature=2.0))

    def gradient_size(temperature: float) -> float:
        student = (1e-2 * logits).requires_grad_()
        distribution_sum(student, 1e-2 * other, temperature=temperature).backward()
        return float(student.grad.norm())

    # The squared temperature keeps the gradient's size; without it, it would fall to a sixteenth.
    assert gradient_size(4.0) == pytest.approx(gradient_size(1.0), rel=0.05)


def test_ignored_labels_cost_nothing() -> None:
    from distilbert.torch.losses import cross_entropy_sum

    logits = torch.randn(4, 6)
    labels = torch.tensor([2, -100, 0, -100])
    kept = F.cross_entropy(logits[[0, 2]], labels[[0, 2]], reduction="sum")
    torch.testing.assert_close(cross_entropy_sum(logits, labels), kept)
