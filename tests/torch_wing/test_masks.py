"""Masks for each pair of tokens, against a softmax by hand; and rows that may attend to nothing."""

from typing import Any

import numpy as np
import pytest
import torch
from models import CONFIGS, batch, scatter
from torch import Tensor

import distilbert
from distilbert.core import reference

B, N, S = 3, 4, 9
SHAPES = {"pairs": (B, 1, S, S), "heads": (B, N, S, S), "one for all": (1, 1, S, S), "columns": (B, 1, 1, S)}
IMPLEMENTATIONS = ["eager", "sdpa"]


def build(head: str = "Model", **changes: Any) -> Any:
    rates = dict.fromkeys(("dropout", "attention_dropout", "seq_classif_dropout", "qa_dropout"), 0.0)
    config = distilbert.DistilBertConfig.from_dict(CONFIGS["usual"].to_dict(), **rates, **changes)
    return scatter(getattr(distilbert, f"DistilBert{head}")(config)).double()


def mask_of(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """True where a token may attend; with a row of pairs under which all is hidden."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(shape, generator=generator) < 0.6
    mask[..., 0] = True
    mask[0, 0, -1] = False
    return mask


def added(mask: Tensor) -> np.ndarray:
    """What a mask of booleans adds to the scores; where all is hidden, nothing is."""
    mask = mask | ~mask.any(-1, keepdim=True)
    return torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, -1e30).numpy()


def states(model: Any, ids: Tensor, scores: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Our plain numpy model's last states, with these numbers added to its scores."""

    def attend(x: np.ndarray, _live: np.ndarray, weights: Any, width: int) -> tuple[np.ndarray, np.ndarray]:
        q, k, v = (
            reference.linear(x, getattr(weights, name)).reshape(*x.shape[:2], -1, width).transpose(0, 2, 1, 3)
            for name in ("q_lin", "k_lin", "v_lin")
        )
        scored = np.exp(q @ k.swapaxes(-1, -2) / np.sqrt(width) + scores)
        probabilities = scored / scored.sum(-1, keepdims=True)
        context = (probabilities @ v).transpose(0, 2, 1, 3).reshape(*x.shape[:2], -1)
        return reference.linear(context, weights.out_lin), probabilities

    with monkeypatch.context() as patch:
        patch.setattr(reference, "attend", attend)
        encoded = reference.encode(model.config, model.encoder.arrays(), ids.numpy())
    return encoded.last_hidden_state


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_masks_of_pairs_are_a_softmax_under_them(
    shape: str, implementation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(attn_implementation=implementation)
    ids = torch.randint(0, 60, (B, S), generator=torch.Generator().manual_seed(2))
    mask = mask_of(SHAPES[shape])
    wanted = states(model, ids, added(mask), monkeypatch)
    hidden = {
        "booleans": mask,
        "minus infinity": torch.zeros(mask.shape).masked_fill(~mask, -torch.inf),
        "the lowest number": torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min),
        "in double": torch.zeros(mask.shape).double().masked_fill(~mask, torch.finfo(torch.float64).min),
    }
    with torch.no_grad():
        for what, given in hidden.items():
            assert abs(model(ids, given)[0].numpy() - wanted).max() <= 1e-10, what
        assert abs(model(ids)[0].numpy() - wanted).max() > 1e-2
        # Numbers that are added need not hide anything: a bias by distance, for one.
        bias = -0.3 * (torch.arange(S)[:, None] - torch.arange(S)).abs().double().expand(SHAPES["heads"])
        biased = states(model, ids, bias.numpy(), monkeypatch)
        assert abs(model(ids, bias)[0].numpy() - biased).max() <= 1e-10


@pytest.mark.parametrize("head", ["ForMaskedLM", "ForSequenceClassification", "ForQuestionAnswering"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_heads_read_the_states_under_such_masks(head: str, implementation: str, shape: str) -> None:
    model = build(head, attn_implementation=implementation)
    ids = torch.randint(0, 60, (B, S), generator=torch.Generator().manual_seed(2))
    mask = mask_of(SHAPES[shape])
    with torch.no_grad():
        # With hidden states asked for, a classifier's last layer computes every position.
        short, whole = model(ids, mask), model(ids, mask, output_hidden_states=True)
        assert (short[0] - whole[0]).abs().max() <= 1e-10
        expected = model.encoder(ids, mask).last_hidden_state
        assert (whole.hidden_states[-1] - expected).abs().max() <= 1e-10
        attentions = model(ids, mask, output_attentions=True).attentions[0]
    assert attentions.shape == (B, N, S, S)
    live = (mask | ~mask.any(-1, keepdim=True)).expand(B, N, S, S)
    assert not attentions[~live].any()
    assert (attentions[live] > 0).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_mask_of_each_head_counts_those_of_the_unpruned_model(implementation: str) -> None:
    whole, pruned = (build(attn_implementation=implementation) for _ in range(2))
    pruned.prune_heads({0: [1], 1: [0, 3]})
    ids, mask = torch.ones(B, S, dtype=torch.long), mask_of(SHAPES["heads"])
    silenced = torch.tensor([[1.0, 0, 1, 1], [0, 1, 1, 0]])
    with torch.no_grad():
        assert (pruned(ids, mask)[0] - whole(ids, mask, silenced)[0]).abs().max() <= 1e-10


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("packing", [True, False])
def test_a_mask_of_columns_is_the_usual_one(implementation: str, packing: bool) -> None:
    model = build("ForSequenceClassification", attn_implementation=implementation)
    model.base_model.packing = packing
    ids, mask = batch(model.config, rows=5)
    columns = mask.bool()[:, None, None, :]
    live = mask.any(1)
    with torch.no_grad():
        usual, wide = model(ids, mask).logits, model(ids, columns).logits
        assert (usual - wide)[live].abs().max() <= 1e-10
        # Such a mask does not say what padding is, so its states are computed; live ones are the same.
        states = model.base_model(ids, columns)[0]
        assert (states - model.base_model(ids, mask)[0])[mask.bool()].abs().max() <= 1e-10


@pytest.mark.parametrize("flat", [True, False])
def test_choices_under_such_masks(flat: bool) -> None:
    model = build("ForMultipleChoice")
    ids = torch.randint(0, 60, (2, 3, S), generator=torch.Generator().manual_seed(2))
    live = torch.ones(2, 3, S, dtype=torch.bool)
    live[..., 6:] = False
    pairs = live[..., None, None, :].expand(2, 3, 1, S, S)
    with torch.no_grad():
        usual = model(ids, live).logits
        assert (model(ids, pairs.flatten(0, 1) if flat else pairs).logits - usual).abs().max() <= 1e-10


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("kind", ["2-D", "pairs", "added"])
def test_rows_without_anything_to_attend_to_stay_finite(
    dtype: torch.dtype, implementation: str, kind: str
) -> None:
    model = build("ForTokenClassification", attn_implementation=implementation).to(dtype).train()
    ids = torch.ones(B, S, dtype=torch.long)
    mask = torch.ones(B, S, dtype=torch.bool)
    mask[1] = False
    if kind != "2-D":
        mask = mask[:, None, None, :].expand(B, 1, S, S)
    if kind == "added":
        mask = torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)
    for packing in (True, False):
        model.base_model.packing = packing
        model.zero_grad()
        output = model(ids, mask, labels=torch.ones_like(ids))
        output.loss.backward()
        assert torch.isfinite(output.logits).all()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        nothing = model(ids, torch.zeros(B, S))
        assert not nothing.logits.any()
