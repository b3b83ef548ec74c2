"""The JAX wing block by block: against our PyTorch, and the numpy oracle, with variants that must fail."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from jax_twins import difference, numbers, twin_of
from models import CONFIGS, batch, scatter
from peer import ATOL

import distilbert
from distilbert.core import reference
from distilbert.core.parameters import as_attributes
from distilbert.torch.layout import Padded as TorchPadded

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'distilbert[jax]'")

from distilbert.jax import attention as jax_attention  # noqa: E402  # after the skip
from distilbert.jax.layout import Padded  # noqa: E402
from distilbert.jax.modules import dropped  # noqa: E402

CONFIG = CONFIGS["usual"]
IDS, MASK = batch(CONFIG)
LIVE = MASK != 0
STATES = torch.randn(*MASK.shape, CONFIG.dim, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    model = scatter(distilbert.DistilBertModel(CONFIG))
    return model, twin_of(model)


@pytest.fixture
def block(pair: tuple[Any, Any]) -> Any:
    """The twin's first block, to be broken."""
    return twin_of(pair[0]).transformer.layer[0]


def embed(twin: Any) -> Any:
    return twin.embeddings(twin.batch(IDS.numpy()))


def attend(block: Any, layout: Padded | None = None) -> np.ndarray:
    layout = layout or Padded(numbers(LIVE))
    return block.attention(STATES.numpy(), layout, layout.columns)[0]


def run(block: Any) -> np.ndarray:
    layout = Padded(numbers(LIVE))
    return block(STATES.numpy(), layout, layout.columns)[0]


def test_embeddings(pair: tuple[Any, Any]) -> None:
    model, twin = pair
    assert difference(embed(twin), model.embeddings(model.batch(IDS))) <= ATOL


@pytest.mark.parametrize("implementation", ["eager", "dot_product_attention"])
def test_attention_is_torch_s_and_the_references(
    pair: tuple[Any, Any], block: Any, implementation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    fused = jax.nn.dot_product_attention
    monkeypatch.setattr(jax.nn, "dot_product_attention", lambda *a, **k: ran.append(1) or fused(*a, **k))
    block.attention.become(
        {c.implementation: c for c in jax_attention.SelfAttention.__subclasses__()}[implementation]
    )
    ours = attend(block)
    assert bool(ran) == (implementation != "eager")  # it, and not the other one
    theirs, _ = pair[0].transformer.layer[0].attention(STATES, TorchPadded(LIVE))
    assert difference(ours, theirs) <= ATOL
    arrays = {k: a.astype(np.float64) for k, a in pair[0].arrays().items()}
    weights = getattr(as_attributes(arrays).transformer.layer, "0").attention
    told, _ = reference.attend(STATES.numpy().astype(np.float64), numbers(LIVE), weights, 8)
    assert difference(ours, told, LIVE) <= ATOL
    # What it would be without a mask is something else.
    assert difference(attend(block, Padded()), theirs, LIVE) > 10 * ATOL


def test_feed_forward_and_a_whole_block(pair: tuple[Any, Any], block: Any) -> None:
    theirs = pair[0].transformer.layer[0]
    assert difference(block.ffn(STATES.numpy()), theirs.ffn(STATES)) <= ATOL
    assert difference(run(block), theirs(STATES, TorchPadded(LIVE))[0]) <= ATOL


def tanh_gelu(block: Any) -> None:
    block.ffn.activation = partial(jax.nn.gelu, approximate=True)


def swapped_queries_and_keys(block: Any) -> None:
    block.attention.q_lin, block.attention.k_lin = block.attention.k_lin, block.attention.q_lin


def unscaled_scores(block: Any) -> None:
    block.attention.attention_head_size *= 4


def no_norm(block: Any) -> None:
    block.sa_layer_norm = lambda x: x


@pytest.mark.parametrize("mutate", [tanh_gelu, swapped_queries_and_keys, unscaled_scores, no_norm])
def test_a_mutant_of_a_block_fails(pair: tuple[Any, Any], block: Any, mutate: Callable[[Any], None]) -> None:
    theirs = pair[0].transformer.layer[0](STATES, TorchPadded(LIVE))[0]
    mutate(block)
    assert difference(run(block), theirs, LIVE) > 10 * ATOL


def test_an_epsilon_of_another_size_fails(pair: tuple[Any, Any], block: Any) -> None:
    quiet = STATES * 1e-2  # so that a wrong epsilon is not lost beside the variance
    theirs = pair[0].transformer.layer[0].sa_layer_norm(quiet)
    assert difference(block.sa_layer_norm(quiet.numpy()), theirs) <= ATOL
    block.sa_layer_norm.epsilon = 1e-5
    assert difference(block.sa_layer_norm(quiet.numpy()), theirs) > 10 * ATOL


def test_a_head_mask_scales_each_head(pair: tuple[Any, Any], block: Any) -> None:
    heads = torch.tensor([1.0, 0.0, 0.5, 2.0])
    theirs, shown = (
        pair[0]
        .transformer.layer[0]
        .attention(STATES, TorchPadded(LIVE), head_mask_N=heads, with_weights=True)
    )
    layout = Padded(numbers(LIVE))
    call = partial(block.attention, STATES.numpy(), layout, layout.columns)
    for implementation in (jax_attention.EagerAttention, jax_attention.DotProductAttention):
        block.attention.become(implementation)
        assert difference(call(head_mask_N=heads.numpy())[0], theirs) <= ATOL
        ours, weights = call(head_mask_N=heads.numpy(), with_weights=True)
        assert difference(ours, theirs) <= ATOL
        assert difference(weights, shown) <= ATOL
    assert difference(call()[0], theirs) > 10 * ATOL


def test_dropout_takes_its_share_and_keeps_the_mean() -> None:
    x = np.ones((200, 200), np.float32)
    out = np.asarray(dropped(x, 0.25, jax.random.key(0)))
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((out == 0).mean() - 0.25) < 0.01
    assert dropped(x, 0.25, None) is x
    assert not np.asarray(dropped(x, 1.0, jax.random.key(0))).any()
