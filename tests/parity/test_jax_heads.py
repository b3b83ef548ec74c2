"""The JAX wing's six classes: answers, losses and gradients against our PyTorch's and the peers'."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jax_twins import ATOL, difference, gradients, numbers, twin_of
from models import CONFIGS, batch, scatter
from other_frameworks import load_peer
from peer import peer_of
from tiny import CLASSES, answers

import distilbert

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'distilbert[jax]'")

from flax import nnx  # noqa: E402  # after the skip
from flax.traverse_util import flatten_dict  # noqa: E402

#: Each class at another configuration: they differ in everything a formula could forget.
CONFIG_OF = dict(zip(CLASSES, (*CONFIGS, "usual"), strict=True))


def inputs(name: str, config: Any, side: str) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Ragged rows, one of them empty, and labels."""
    input_ids, mask = batch(config, side=side)
    if name.endswith("MultipleChoice"):
        input_ids, mask = input_ids.unflatten(0, (2, 2)), mask.unflatten(0, (2, 2))
    labels = answers(name, input_ids)
    if "labels" in labels and labels["labels"].shape == mask.shape:
        labels["labels"][..., ::3] = -100
    return input_ids, mask, labels


def whole(output: Any) -> Any:
    """One number that all of a model's answers go into."""
    return sum((x**2).sum() for x in output.values()) if output.loss is None else output.loss


@pytest.mark.parametrize("name", CLASSES)
def test_answers_losses_and_gradients_are_torch_s(name: str) -> None:
    model = scatter(getattr(distilbert, name)(CONFIGS[CONFIG_OF[name]]))
    twin = twin_of(model)
    side = "left" if name.endswith(("Model", "SequenceClassification")) else "right"
    input_ids, mask, labels = inputs(name, model.config, side)
    arrays = {key: numbers(x) for key, x in labels.items()}

    @nnx.jit
    def step(twin: Any, ids: Any, mask: Any, arrays: Any) -> Any:
        def loss(twin: Any) -> Any:
            output = twin(ids, mask, **arrays)
            return (whole(output) if labels else (output[0] ** 2).sum()), output

        return nnx.value_and_grad(loss, has_aux=True)(twin)

    (_, ours), state = step(twin, numbers(input_ids), numbers(mask), arrays)
    theirs = model(input_ids, mask, **labels)
    (theirs.loss if labels else (theirs[0] ** 2).sum()).backward()
    assert list(ours) == list(theirs)
    for key, mine in ours.items():
        assert mine.shape == tuple(theirs[key].shape)
        assert difference(mine, theirs[key]) <= ATOL, key
    found = gradients(twin, state)
    for key, parameter in model.named_parameters():
        told = parameter.grad
        if told is None:
            assert not found[key].any(), key
            continue
        size = max(1.0, float(told.abs().max()))
        assert difference(found[key], told) <= ATOL * size, key
    # The same through the call that users make, whose rows are widened to 16 columns and cut again.
    called = twin(numbers(input_ids), numbers(mask), **arrays)
    for key, mine in called.items():
        assert difference(mine, theirs[key]) <= ATOL, key
    # Without the mask it would be another answer.
    assert difference(twin(numbers(input_ids))[0], theirs[1 if labels else 0], None) > 10 * ATOL


@pytest.mark.parametrize("name", CLASSES)
def test_the_peers_flax_and_pytorch_classes_answer_alike(name: str, tmp_path: Path) -> None:
    """On rows with a live first token: the peer's heads read column 0, which may be padding."""
    model = scatter(getattr(distilbert, name)(CONFIGS["usual"]))
    twin = twin_of(model)
    input_ids, mask, _ = inputs(name, model.config, "right")
    mask[..., 0] = 1
    twin.save_pretrained(tmp_path)
    flax_peer, torch_peer = load_peer(name, "Flax", tmp_path), peer_of(model)
    given = (numbers(input_ids).astype(np.int32), numbers(mask).astype(np.int32))
    ours, flax_s = twin(*given), flax_peer(*given)
    with torch.no_grad():
        torch_s = torch_peer(input_ids, mask)
    # The tree that scripts keep outside of the model is the peer's, name by name.
    assert set(flatten_dict(flax_peer.params)) == twin.required_params
    live = mask if ours[0].shape[:2] == mask.shape and "Choice" not in name else None
    for key in ours:
        assert difference(ours[key], flax_s[key], live) <= ATOL, key
        assert difference(ours[key], torch_s[key], live) <= ATOL, key
    if live is not None:
        assert not numbers(ours[0])[numbers(mask) == 0].any() or "Question" in name


def test_states_positions_heads_and_pairs_of_tokens_are_torch_s() -> None:
    model = scatter(distilbert.DistilBertModel(CONFIGS["usual"]))
    twin = twin_of(model)
    input_ids, _ = batch(model.config)
    generator = torch.Generator().manual_seed(1)
    given = {
        "attention_mask": torch.rand(4, 4, 12, 12, generator=generator) < 0.5,
        "head_mask": torch.rand(2, 4, generator=generator),
        "inputs_embeds": model.get_input_embeddings()(input_ids).detach(),
        "position_ids": torch.arange(12).flip(0),
    }
    ours = twin(**{name: numbers(x) for name, x in given.items()}, output_attentions=True)
    with torch.no_grad():
        theirs = model(**given, output_attentions=True)
    assert difference(ours.last_hidden_state, theirs.last_hidden_state) <= ATOL
    for mine, other in zip(ours.attentions, theirs.attentions, strict=True):
        assert difference(mine, other) <= ATOL


@pytest.mark.parametrize("seed", range(2))
def test_random_configurations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heads = int(rng.integers(1, 4))
    config = distilbert.DistilBertConfig(
        vocab_size=int(rng.integers(8, 90)),
        max_position_embeddings=int(rng.integers(5, 40)),
        n_layers=int(rng.integers(1, 3)),
        n_heads=heads,
        dim=heads * int(rng.integers(2, 12)),
        hidden_dim=int(rng.integers(3, 70)),
        activation=str(rng.choice(["gelu_new", "quick_gelu", "silu", "tanh"])),
        pad_token_id=int(rng.integers(0, 8)),
        pruned_heads={0: [0]} if heads > 1 else {},
    )
    model = scatter(distilbert.DistilBertModel(config), seed)
    twin = twin_of(model)
    twin.set_attention("dot_product_attention")
    input_ids, mask = batch(config, length=int(rng.integers(1, 40)), seed=seed)
    with torch.no_grad():
        theirs = model(input_ids, mask).last_hidden_state
    assert difference(twin(numbers(input_ids), numbers(mask)).last_hidden_state, theirs) <= ATOL
