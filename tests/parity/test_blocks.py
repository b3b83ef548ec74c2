"""Block by block against the peer's modules, in every precision, and each listed activation."""

import pytest
import torch
from models import CONFIGS, batch, scatter
from peer import ATOL, largest_difference, peer_of

import distilbert
from distilbert import DistilBertConfig, DistilBertModel
from distilbert.core.rules import ACTIVATIONS
from distilbert.torch.layout import Padded

HEADS = (
    "Model",
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForMultipleChoice",
    "ForTokenClassification",
    "ForQuestionAnswering",
)


@pytest.fixture
def pair() -> tuple[DistilBertModel, torch.nn.Module]:
    model = scatter(DistilBertModel(CONFIGS["usual"]))
    return model, peer_of(model)


def states(model: DistilBertModel) -> tuple[torch.Tensor, torch.Tensor]:
    _, mask = batch(model.config)
    mask[mask.sum(1) == 0, 0] = 1
    return torch.randn(*mask.shape, model.config.dim, generator=torch.Generator().manual_seed(0)), mask


def test_embeddings(pair: tuple[DistilBertModel, torch.nn.Module]) -> None:
    model, peer = pair
    input_ids, _ = batch(model.config)
    ours, theirs = model.embeddings(model.batch(input_ids)), peer.embeddings(input_ids)
    assert largest_difference(ours, theirs) <= ATOL


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_forward_and_gradients(
    pair: tuple[DistilBertModel, torch.nn.Module], implementation: str
) -> None:
    model, peer = pair
    model.set_attention(implementation)
    x, mask = states(model)
    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours, _ = model.transformer.layer[0].attention(mine, Padded(mask != 0))
    lowest = torch.finfo(x.dtype).min
    added = (1.0 - mask[:, None, None, :].float()) * lowest
    (theirs,) = peer.transformer.layer[0].attention(
        other, other, other, mask=added.expand(-1, 1, x.shape[1], -1), head_mask=None
    )
    assert largest_difference(ours, theirs) <= ATOL
    ours.square().sum().backward()
    theirs.square().sum().backward()
    assert largest_difference(mine.grad, other.grad) <= 1e-4 * float(other.grad.abs().max())
    for name in ("q_lin", "k_lin", "v_lin", "out_lin"):
        gradients = (getattr(m.transformer.layer[0].attention, name).weight.grad for m in pair)
        first, second = gradients
        assert largest_difference(first, second) <= 1e-5 * max(1.0, float(second.abs().max())), name


def test_feed_forward(pair: tuple[DistilBertModel, torch.nn.Module]) -> None:
    model, peer = pair
    x, _ = states(model)
    assert largest_difference(model.transformer.layer[1].ffn(x), peer.transformer.layer[1].ffn(x)) <= ATOL


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_in_the_blocks_and_in_the_head(activation: str) -> None:
    config = DistilBertConfig.from_dict(CONFIGS["usual"].to_dict(), activation=activation)
    model = scatter(distilbert.DistilBertForMaskedLM(config))
    peer = peer_of(model)
    input_ids, mask = batch(config)
    with torch.no_grad():
        assert largest_difference(model(input_ids, mask).logits, peer(input_ids, mask).logits, mask) <= ATOL


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "usual"])
@pytest.mark.parametrize("head", HEADS)
def test_every_class_of_every_configuration(head: str, name: str) -> None:
    """Forward and gradients of all six classes: odd widths, one head, sines, another activation, untied."""
    model = scatter(getattr(distilbert, f"DistilBert{head}")(CONFIGS[name]))
    peer = peer_of(model)
    input_ids, _ = batch(model.config)
    given = (input_ids.unflatten(0, (2, 2)),) if head == "ForMultipleChoice" else (input_ids,)
    ours, theirs = model(*given), peer(*given)
    assert list(ours.keys()) == list(theirs.keys())
    for key, mine in ours.items():
        assert mine.shape == theirs[key].shape
        assert largest_difference(mine, theirs[key]) <= ATOL, key
    sum(part.square().sum() for part in ours.values()).backward()
    sum(part.square().sum() for part in theirs.values()).backward()
    peers = dict(peer.named_parameters())
    for key, parameter in model.named_parameters():
        if parameter.grad is not None:
            size = max(1.0, float(peers[key].grad.abs().max()))
            assert largest_difference(parameter.grad, peers[key].grad) <= 1e-5 * size, key


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_half_precision_is_as_near_the_truth_as_the_peers(dtype: torch.dtype, implementation: str) -> None:
    """Two roundings differ; neither may be further from float64 than the other by much."""
    config = DistilBertConfig.from_dict(CONFIGS["usual"].to_dict())
    model = scatter(DistilBertModel(config))
    peer = peer_of(model).to(dtype)
    input_ids, mask = batch(config, rows=8)
    model.set_attention(implementation)
    with torch.no_grad():
        model.to(dtype)
        ours = model(input_ids, mask).last_hidden_state
        theirs = peer(input_ids, mask).last_hidden_state
        truth = model.double()(input_ids, mask).last_hidden_state
    live = mask.bool()
    errors = [float((x.double() - truth)[live].square().mean().sqrt()) for x in (ours, theirs)]
    assert ours.dtype == dtype
    assert errors[0] <= 1.1 * errors[1]
    assert errors[0] > 1e-5  # half precision it was


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_float64_is_the_peers_to_ten_digits(implementation: str) -> None:
    model = scatter(DistilBertModel(CONFIGS["usual"]))
    peer = peer_of(model).double()
    model.double().set_attention(implementation)
    input_ids, mask = batch(model.config, rows=6)
    with torch.no_grad():
        ours, theirs = model(input_ids, mask), peer(input_ids, mask)
    assert largest_difference(ours.last_hidden_state, theirs.last_hidden_state, mask) <= 1e-10


@pytest.mark.parametrize("head", HEADS)
def test_folders_pass_in_both_directions(head: str, tmp_path: object) -> None:
    """Ours to the peer is what ``peer_of`` does everywhere; here the peer's to ours, and base to head."""
    import transformers

    config = CONFIGS["usual"]
    torch.manual_seed(0)
    peer = getattr(transformers, f"DistilBert{head}")(transformers.DistilBertConfig(**config.to_dict()))
    scatter(peer).save_pretrained(tmp_path)
    kind = getattr(distilbert, f"DistilBert{head}")
    model, report = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not report.missing
    assert not report.unexpected
    input_ids, _ = batch(config)
    given = input_ids.unflatten(0, (2, 2)) if head == "ForMultipleChoice" else input_ids
    with torch.no_grad():
        for mine, other in zip(model(given).values(), peer(given).values(), strict=True):
            assert largest_difference(mine, other) <= ATOL
        base = DistilBertModel.from_pretrained(tmp_path)
        theirs = transformers.DistilBertModel.from_pretrained(tmp_path)(input_ids).last_hidden_state
        assert largest_difference(base(input_ids).last_hidden_state, theirs) <= ATOL
    for name in HEADS[1:]:
        # A choice has one score, a class has several: such heads are no part of what is carried over.
        other = getattr(distilbert, f"DistilBert{name}").from_pretrained(
            tmp_path, ignore_mismatched_sizes=True
        )
        assert torch.equal(
            other.distilbert.embeddings.word_embeddings.weight, base.embeddings.word_embeddings.weight
        )
