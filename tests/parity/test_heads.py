"""Heads, losses and gradients against the peer's."""

import pytest
import torch
from models import CONFIGS, TEACHER, batch, scatter
from peer import ATOL, largest_difference, peer_of
from torch.nn import functional as F

import distilbert
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


def of_kind(kind: str, head: str) -> torch.nn.Module:
    return scatter(getattr(distilbert, f"{kind}For{head}")(TEACHER if kind == "Bert" else CONFIGS["usual"]))


KINDS = pytest.mark.parametrize("kind", ["DistilBert", "Bert"])


@KINDS
def test_token_classifier(kind: str) -> None:
    model = of_kind(kind, "TokenClassification")
    input_ids, mask = batch(model.config, rows=6)
    labels = torch.randint(0, 2, input_ids.shape).masked_fill(mask == 0, -100)
    labels[0, :3] = -100
    peer = peer_of(model)
    full = full_batch(model.config)
    assert_same_step(model, peer, *full, labels=labels[:4].clamp(min=0))
    # Under padding the peer has logits of its own; a row without live tokens has none worth comparing.
    ours, theirs = model(input_ids, mask, labels=labels), peer(input_ids, mask, labels=labels)
    assert largest_difference(ours.loss, theirs.loss) <= ATOL
    assert largest_difference(ours.logits, theirs.logits, mask) <= ATOL
    assert not ours.logits[mask == 0].any()
    unsaid = torch.full_like(labels, -100)
    assert model(input_ids, mask, labels=unsaid).loss.item() == 0.0  # the peer's is no number


@KINDS
def test_masked_language_model_under_padding(kind: str) -> None:
    model = of_kind(kind, "MaskedLM")
    peer = peer_of(model)
    for side in ("right", "left"):
        input_ids, mask = batch(model.config, rows=6, side=side)
        labels = torch.where((torch.rand(input_ids.shape) < 0.4) & (mask == 1), input_ids, -100)
        model.zero_grad()
        peer.zero_grad()
        ours, theirs = model(input_ids, mask, labels=labels), peer(input_ids, mask, labels=labels)
        assert largest_difference(ours.loss, theirs.loss) <= ATOL
        assert largest_difference(ours.logits, theirs.logits, mask) <= ATOL
        with torch.no_grad():  # where no gradient is wanted, logits are put back piece by piece
            assert largest_difference(model(input_ids, mask).logits, ours.logits) <= ATOL


@KINDS
def test_multiple_choice(kind: str) -> None:
    model = of_kind(kind, "MultipleChoice")
    input_ids, _ = batch(model.config, rows=6)
    input_ids = input_ids.unflatten(0, (2, 3))
    assert_same_step(
        model, peer_of(model), input_ids, torch.ones_like(input_ids), labels=torch.tensor([2, 0])
    )
    embedded = model.get_input_embeddings()(input_ids)
    with torch.no_grad():
        by_states = model(inputs_embeds=embedded).logits
        assert largest_difference(by_states, model(input_ids).logits) <= ATOL


@KINDS
def test_question_answering(kind: str) -> None:
    """Under padding the peer's answers may begin in it, so its logits are masked there as ours are."""
    model = of_kind(kind, "QuestionAnswering")
    peer = peer_of(model)
    input_ids, full = full_batch(model.config)
    length = input_ids.shape[1]
    starts = torch.tensor([0, 5, length + 3, -2])  # past the row: not counted; below 0: read as 0
    ends = torch.tensor([[3], [7], [length], [1]])
    asked = {"start_positions": starts, "end_positions": ends}
    ours, theirs = model(input_ids, full, **asked), peer(input_ids, full, **asked)
    for name in ("loss", "start_logits", "end_logits"):
        assert largest_difference(ours[name], theirs[name]) <= ATOL, name
    ours.loss.backward()
    theirs.loss.backward()
    assert largest_difference(model.qa_outputs.weight.grad, peer.qa_outputs.weight.grad) <= ATOL
    first = model.encoder.get_input_embeddings().weight.grad
    assert largest_difference(first, peer.base_model.get_input_embeddings().weight.grad) <= ATOL

    input_ids, mask = batch(model.config, rows=6)
    keep = mask.sum(1) > 0
    input_ids, mask = input_ids[keep], mask[keep]
    starts = ends = mask.sum(1) - 1
    ours = model(input_ids, mask, start_positions=starts, end_positions=ends)
    theirs = peer(input_ids, mask)
    assert largest_difference(ours.start_logits, theirs.start_logits, mask) <= ATOL
    masked = [part.masked_fill(mask == 0, -1e30) for part in (theirs.start_logits, theirs.end_logits)]
    told = sum(F.cross_entropy(part, at) for part, at in zip(masked, (starts, ends), strict=True)) / 2
    assert largest_difference(ours.loss, told) <= ATOL
    assert bool((ours.start_logits[mask == 0] == torch.finfo(torch.float32).min).all())
    beyond = model(input_ids, mask, start_positions=mask.sum(1), end_positions=mask.sum(1)).loss
    assert torch.isfinite(beyond)  # at padding, or past the row: not counted


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
    loss, logits, hidden_states = output.to_tuple()
    assert list(output) == ["loss", "logits", "hidden_states"]
    # As nn.DataParallel puts together what several devices gave.
    gathered = type(output)((name, torch.cat([output[name]] * 2)) for name in ("logits",))
    assert gathered.logits.shape[0] == 2 * len(logits)
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
