"""Our encoder against the peer's and against the numpy oracle, block by block and whole."""

import numpy as np
import pytest
import torch
from models import CONFIGS, TEACHER, batch, scatter
from peer import ATOL, largest_difference, peer_of

from distilbert import BertModel, DistilBertConfig, DistilBertModel
from distilbert.core import reference

SIDES = ("right", "left")


def build(config: DistilBertConfig, **changes: object) -> torch.nn.Module:
    kind = BertModel if config.model_type == "bert" else DistilBertModel
    return scatter(kind(type(config).from_dict({**config.to_dict(), **changes})))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_hidden_state_is_the_peers(name: str, implementation: str, side: str) -> None:
    model = build(CONFIGS[name], attn_implementation=implementation)
    peer = peer_of(model)
    input_ids, mask = batch(model.config, side=side)
    with torch.no_grad():
        ours = model(input_ids, mask, output_hidden_states=True).hidden_states
        theirs = peer(input_ids, mask, output_hidden_states=True).hidden_states
    assert len(ours) == len(theirs) == model.config.n_layers + 1
    for mine, other in zip(ours, theirs, strict=True):
        assert largest_difference(mine, other, mask) <= ATOL


@pytest.mark.parametrize("name", [*CONFIGS, "teacher"])
def test_every_hidden_state_and_attention_is_the_references(name: str) -> None:
    config = TEACHER if name == "teacher" else CONFIGS[name]
    model = build(config, attn_implementation="eager")
    input_ids, mask = batch(config)
    with torch.no_grad():
        ours = model(input_ids, mask, output_hidden_states=True, output_attentions=True)
    told = reference.encode(model.config, model.arrays(), input_ids.numpy(), mask.numpy())
    for mine, other in zip(ours.hidden_states, told.hidden_states, strict=True):
        np.testing.assert_allclose(mine.numpy(), other, atol=ATOL)
    live_rows = mask.sum(1) > 0
    for mine, other in zip(ours.attentions, told.attentions, strict=True):
        np.testing.assert_allclose(mine.numpy()[live_rows], other[live_rows], atol=ATOL)


def test_the_teacher_is_the_peers_with_and_without_token_types() -> None:
    model = build(TEACHER)
    peer = peer_of(model)
    input_ids, mask = batch(TEACHER)
    types = torch.arange(input_ids.shape[1]).expand_as(input_ids) % 2
    with torch.no_grad():
        for given in (None, types):
            ours = model(input_ids, mask, token_type_ids=given).last_hidden_state
            theirs = peer(input_ids, mask, token_type_ids=given).last_hidden_state
            assert largest_difference(ours, theirs, mask) <= ATOL
        plain = model(input_ids, mask).last_hidden_state
        typed = model(input_ids, mask, token_type_ids=types).last_hidden_state
    assert largest_difference(plain, typed, mask) > 1e-2  # the types do reach the output


def test_float64_agrees_with_the_reference_to_ten_digits() -> None:
    model = build(CONFIGS["usual"]).double()
    input_ids, mask = batch(model.config)
    with torch.no_grad():
        ours = model(input_ids, mask).last_hidden_state
    told = reference.encode(model.config, model.arrays(), input_ids.numpy(), mask.numpy())
    np.testing.assert_allclose(ours.numpy(), told.last_hidden_state, atol=1e-10)


@pytest.mark.parametrize("rank", [1, 2])
def test_head_mask_is_the_peers(rank: int) -> None:
    model = build(CONFIGS["usual"], attn_implementation="sdpa")
    peer = peer_of(model)
    peer.config._attn_implementation = "eager"  # the peer's sdpa warns and does the same
    input_ids, mask = batch(model.config)
    heads = torch.rand(model.config.n_layers, model.config.n_heads)
    heads = heads if rank == 2 else heads[0]
    with torch.no_grad():
        ours = model(input_ids, mask, heads, output_attentions=True)
        theirs = peer(input_ids, mask, heads, output_attentions=True)
        unmasked = model(input_ids, mask).last_hidden_state
    assert largest_difference(ours.last_hidden_state, theirs.last_hidden_state, mask) <= ATOL
    live_rows = mask.sum(1) > 0
    for mine, other in zip(ours.attentions, theirs.attentions, strict=True):
        assert largest_difference(mine[live_rows], other[live_rows]) <= ATOL
    assert largest_difference(ours.last_hidden_state, unmasked, mask) > 1e-2


def test_embeddings_in_the_place_of_ids_are_the_peers() -> None:
    model = build(CONFIGS["usual"])
    peer = peer_of(model)
    input_ids, mask = batch(model.config)
    with torch.no_grad():
        embedded = model.embeddings.word_embeddings(input_ids)
        ours = model(attention_mask=mask, inputs_embeds=embedded).last_hidden_state
        theirs = peer(attention_mask=mask, inputs_embeds=embedded).last_hidden_state
        from_ids = model(input_ids, mask).last_hidden_state
    assert largest_difference(ours, theirs, mask) <= ATOL
    assert torch.equal(ours, from_ids)


@pytest.mark.parametrize("seed", range(6))
def test_random_configurations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heads = int(rng.integers(1, 5))
    config = DistilBertConfig(
        vocab_size=int(rng.integers(8, 90)),
        max_position_embeddings=int(rng.integers(5, 40)),
        n_layers=int(rng.integers(1, 4)),
        n_heads=heads,
        dim=heads * int(rng.integers(2, 12)),
        hidden_dim=int(rng.integers(3, 70)),
        activation=str(rng.choice(["gelu", "gelu_new", "quick_gelu", "relu", "silu", "tanh"])),
        pad_token_id=int(rng.integers(0, 8)),
    )
    model = scatter(DistilBertModel(config), seed)
    peer = peer_of(model)
    input_ids, mask = batch(config, length=int(rng.integers(1, 40)), seed=seed)
    with torch.no_grad():
        ours, theirs = model(input_ids, mask), peer(input_ids, mask)
    assert largest_difference(ours.last_hidden_state, theirs.last_hidden_state, mask) <= ATOL
