"""Negative controls: each well-known slip, made on purpose, must fail the assert that parity rests on."""

import pytest
import torch
from models import CONFIGS, batch, scatter
from peer import ATOL, largest_difference, peer_of
from torch.nn import functional as F

import distilbert
from distilbert import DistilBertModel
from distilbert.torch import attention
from distilbert.torch.layout import Packed, Padded


def tanh_gelu(model: DistilBertModel) -> None:
    for block in model.transformer.layer:
        block.ffn.activation = lambda x: F.gelu(x, approximate="tanh")


def usual_epsilon(model: DistilBertModel) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-5


def no_mask(model: DistilBertModel) -> None:
    model.set_attention("sdpa", packing=False)
    model.transformer.register_forward_pre_hook(lambda module, args: (args[0], Padded()))


def swapped_query_and_key(model: DistilBertModel) -> None:
    for block in model.transformer.layer:
        first, second = block.attention.q_lin, block.attention.k_lin
        block.attention.q_lin, block.attention.k_lin = second, first


def unscaled_scores(model: DistilBertModel) -> None:
    for block in model.transformer.layer:
        with torch.no_grad():
            block.attention.q_lin.weight.mul_(1.05)


def norm_before(model: DistilBertModel) -> None:
    block = model.transformer.layer[0]
    block.sa_layer_norm, block.output_layer_norm = block.output_layer_norm, block.sa_layer_norm


def shifted_positions(model: DistilBertModel) -> None:
    with torch.no_grad():
        weight = model.embeddings.position_embeddings.weight
        weight.copy_(weight.roll(1, dims=0))


MUTANTS = (
    tanh_gelu,
    usual_epsilon,
    no_mask,
    swapped_query_and_key,
    unscaled_scores,
    norm_before,
    shifted_positions,
)


def model_and_peer() -> tuple[DistilBertModel, torch.nn.Module]:
    model = scatter(DistilBertModel(CONFIGS["usual"]))
    with torch.no_grad():
        # Small inputs of the norms make their epsilon visible, as it is where activations die out.
        model.embeddings.word_embeddings.weight.mul_(5e-3)
        model.embeddings.position_embeddings.weight.mul_(5e-3)
    return model, peer_of(model)


def test_the_unmutated_model_passes() -> None:
    model, peer = model_and_peer()
    input_ids, mask = batch(model.config)
    with torch.no_grad():
        assert largest_difference(model(input_ids, mask)[0], peer(input_ids, mask)[0], mask) <= ATOL


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutate: mutate.__name__)
def test_a_mutant_fails(mutate: object) -> None:
    model, peer = model_and_peer()
    mutate(model)
    input_ids, mask = batch(model.config)
    with torch.no_grad():
        assert largest_difference(model(input_ids, mask)[0], peer(input_ids, mask)[0], mask) > 10 * ATOL


def tanh_gelu_in_the_head(model: torch.nn.Module) -> None:
    model.activation = lambda x: F.gelu(x, approximate="tanh")


def no_relu(model: torch.nn.Module) -> None:
    model.class_logits = lambda first_BD: model.classifier(model.pre_classifier(first_BD))


def second_token(model: torch.nn.Module) -> None:
    model.register_forward_pre_hook(lambda module, args: (args[0].roll(-1, dims=1), *args[1:]))


def swapped_limits(model: torch.nn.Module) -> None:
    with torch.no_grad():
        model.qa_outputs.weight.copy_(model.qa_outputs.weight.flip(0))


@pytest.mark.parametrize(
    ("head", "mutate"),
    [
        ("MaskedLM", tanh_gelu_in_the_head),
        ("SequenceClassification", no_relu),
        ("SequenceClassification", second_token),
        ("QuestionAnswering", swapped_limits),
    ],
)
def test_a_mutant_of_a_head_fails(head: str, mutate: object) -> None:
    model = scatter(getattr(distilbert, f"DistilBertFor{head}")(CONFIGS["usual"]))
    peer = peer_of(model)
    input_ids, mask = batch(model.config, rows=6)
    keep = mask.sum(1) > 0
    input_ids, mask = input_ids[keep], mask[keep]
    live = None if head == "SequenceClassification" else mask
    with torch.no_grad():
        assert largest_difference(model(input_ids, mask)[0], peer(input_ids, mask)[0], live) <= ATOL
        mutate(model)
        assert largest_difference(model(input_ids, mask)[0], peer(input_ids, mask)[0], live) > 10 * ATOL


def test_texts_that_see_each_other_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    model, peer = model_and_peer()
    input_ids, mask = batch(model.config)
    whole = property(lambda layout: [(1, sum(layout.lengths))])
    monkeypatch.setattr(Packed, "runs", whole)
    with torch.no_grad():
        assert largest_difference(model(input_ids, mask)[0], peer(input_ids, mask)[0], mask) > 10 * ATOL


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_the_chosen_attention_is_the_one_that_ran(
    implementation: str, training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parity of an implementation whose fallback ran would prove nothing."""
    ran = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(
        attention.F, "scaled_dot_product_attention", lambda *a, **k: ran.append("sdpa") or fused(*a, **k)
    )
    softmax = torch.softmax
    monkeypatch.setattr(attention.torch, "softmax", lambda *a, **k: ran.append("eager") or softmax(*a, **k))
    config = type(CONFIGS["usual"]).from_dict(CONFIGS["usual"].to_dict(), attn_implementation=implementation)
    model = scatter(DistilBertModel(config)).train(training)
    model(*batch(config))
    assert len(ran) >= config.n_layers
    assert set(ran) == {implementation}
