"""The Keras wing block by block: against our PyTorch, and the numpy oracle, with variants that must fail."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from keras_twins import difference, numbers, twin_of
from models import CONFIGS, batch, scatter
from peer import ATOL

import distilbert
from distilbert.core import reference
from distilbert.core.parameters import as_attributes
from distilbert.torch.layout import Padded as TorchPadded

keras = pytest.importorskip("keras", reason="Keras is not installed: pip install 'distilbert[keras]'")

from distilbert.keras import attention as keras_attention  # noqa: E402  # after the skip
from distilbert.keras.layout import Padded  # noqa: E402
from distilbert.keras.modules import dropped, keys  # noqa: E402

CONFIG = CONFIGS["usual"]
IDS, MASK = batch(CONFIG)
LIVE = MASK != 0
STATES = torch.randn(*MASK.shape, CONFIG.dim, generator=torch.Generator().manual_seed(0))
X = keras.ops.convert_to_tensor(STATES.numpy())


@pytest.fixture(scope="module")
def model() -> Any:
    return scatter(distilbert.DistilBertModel(CONFIG))


@pytest.fixture
def twin(model: Any) -> Any:
    """The same in Keras, to be broken."""
    return twin_of(model)


def layout() -> Padded:
    return Padded(keras.ops.convert_to_tensor(numbers(LIVE)))


def attend(block: Any, lies: Padded | None = None, **more: Any) -> Any:
    lies = lies or layout()
    return block.attention(X, layout=lies, columns=lies.columns, **more)


def run(block: Any) -> Any:
    return block(X, layout=layout(), columns=layout().columns)[0]


def test_embeddings(model: Any, twin: Any) -> None:
    assert difference(twin.embeddings(IDS.numpy()), model.embeddings(model.batch(IDS))) <= ATOL


@pytest.mark.parametrize("implementation", ["eager", "dot_product_attention"])
def test_attention_is_torch_s_and_the_references(
    model: Any, twin: Any, implementation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    fused = keras.ops.dot_product_attention
    monkeypatch.setattr(
        keras_attention.ops, "dot_product_attention", lambda *a, **k: ran.append(1) or fused(*a, **k)
    )
    twin.set_attention(implementation)
    block = twin.transformer.layer[0]
    ours = attend(block)[0]
    assert bool(ran) == (implementation != "eager")  # it, and not the other one
    theirs, _ = model.transformer.layer[0].attention(STATES, TorchPadded(LIVE))
    assert difference(ours, theirs) <= ATOL
    arrays = {k: a.astype(np.float64) for k, a in model.arrays().items()}
    weights = getattr(as_attributes(arrays).transformer.layer, "0").attention
    told, _ = reference.attend(STATES.numpy().astype(np.float64), numbers(LIVE), weights, 8)
    assert difference(ours, told, LIVE) <= ATOL
    # What it would be without a mask is something else.
    assert difference(attend(block, Padded())[0], theirs, LIVE) > 10 * ATOL
    # Each head has its factor, and the weights that are shown are those that are used.
    heads = torch.tensor([1.0, 0.0, 0.5, 2.0])
    theirs, shown = model.transformer.layer[0].attention(
        STATES, TorchPadded(LIVE), head_mask_N=heads, with_weights=True
    )
    assert difference(attend(block, head_mask_N=heads.numpy())[0], theirs) <= ATOL
    ours, weights = attend(block, head_mask_N=heads.numpy(), with_weights=True)
    assert difference(ours, theirs) <= ATOL
    assert difference(weights, shown) <= ATOL
    assert difference(attend(block)[0], theirs) > 10 * ATOL


def test_feed_forward_and_a_whole_block(model: Any, twin: Any) -> None:
    theirs, block = model.transformer.layer[0], twin.transformer.layer[0]
    assert difference(block.ffn(X), theirs.ffn(STATES)) <= ATOL
    assert difference(run(block), theirs(STATES, TorchPadded(LIVE))[0]) <= ATOL


def tanh_gelu(block: Any) -> None:
    block.ffn.activation = partial(keras.ops.gelu, approximate=True)


def swapped_queries_and_keys(block: Any) -> None:
    one, other = block.attention.q_lin, block.attention.k_lin
    kept = [v.numpy() for v in one.weights]
    one.set_weights([v.numpy() for v in other.weights])
    other.set_weights(kept)


def unscaled_scores(block: Any) -> None:
    block.attention.attend = lambda q, *more: type(block.attention).attend(block.attention, 2 * q, *more)


def another_epsilon(block: Any) -> None:
    block.sa_layer_norm.epsilon = 1e-1


@pytest.mark.parametrize("mutate", [tanh_gelu, swapped_queries_and_keys, unscaled_scores, another_epsilon])
def test_a_mutant_of_a_block_fails(model: Any, twin: Any, mutate: Callable[[Any], None]) -> None:
    theirs = model.transformer.layer[0](STATES, TorchPadded(LIVE))[0]
    block = twin.transformer.layer[0]
    assert difference(run(block), theirs, LIVE) <= ATOL
    mutate(block)
    assert difference(run(block), theirs, LIVE) > 10 * ATOL


def test_an_epsilon_of_the_usual_size_fails(model: Any, twin: Any) -> None:
    quiet = STATES * 1e-2  # so that a wrong epsilon is not lost beside the variance
    theirs = model.transformer.layer[0].sa_layer_norm(quiet)
    own = twin.transformer.layer[0].sa_layer_norm
    assert difference(own(quiet.numpy()), theirs) <= ATOL
    own.epsilon = 1e-5
    assert difference(own(quiet.numpy()), theirs) > 10 * ATOL


def test_dropout_takes_its_share_and_keeps_the_mean() -> None:
    x = keras.ops.ones((200, 200))
    key = keras.random.SeedGenerator(0).next()
    out = numbers(dropped(x, 0.25, key))
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((out == 0).mean() - 0.25) < 0.01
    assert difference(dropped(x, 0.25, key), out) == 0.0
    others = [numbers(dropped(x, 0.25, other)) for other in keys(key, 3)]
    for i, one in enumerate(others):  # of one key, as unlike as chance is
        assert abs(np.mean([(one == other).mean() for other in [*others[i + 1 :], out]]) - 0.625) < 0.02
    assert dropped(x, 0.25, None) is x
    assert not numbers(dropped(x, 1.0, key)).any()
