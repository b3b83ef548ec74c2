"""The Keras wing's six classes: answers, losses and gradients against our PyTorch's and the peers'."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from keras_twins import ATOL, difference, gradients, numbers, twin_of
from models import CONFIGS, batch, scatter
from other_frameworks import load_peer, tensorflow
from tiny import CLASSES, answers

import distilbert

keras = pytest.importorskip("keras", reason="Keras is not installed: pip install 'distilbert[keras]'")

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


@pytest.mark.parametrize("name", CLASSES)
def test_answers_losses_and_gradients_are_torch_s(name: str) -> None:
    tf = tensorflow()
    model = scatter(getattr(distilbert, name)(CONFIGS[CONFIG_OF[name]]))
    twin = twin_of(model)
    side = "left" if name.endswith(("Model", "SequenceClassification")) else "right"
    input_ids, mask, labels = inputs(name, model.config, side)
    given = {"input_ids": numbers(input_ids), "attention_mask": numbers(mask)}
    arrays = {key: numbers(x) for key, x in labels.items()}

    # Of unknown lengths, as a graph that is made once for all of them.
    signature = [{key: tf.TensorSpec([None] * x.ndim, x.dtype) for key, x in {**given, **arrays}.items()}]

    @tf.function(input_signature=signature)
    def step(batch: Any) -> Any:
        with tf.GradientTape() as tape:
            output = twin(batch)
            loss = output.loss if labels else tf.reduce_sum(output[0] ** 2)
        return dict(output), tape.gradient(loss, [v.value for v in twin.trainable_variables])

    ours, slopes = step({key: tf.constant(x) for key, x in {**given, **arrays}.items()})
    theirs = model(input_ids, mask, **labels)
    (theirs.loss if labels else (theirs[0] ** 2).sum()).backward()
    assert sorted(ours) == sorted(theirs)
    for key, mine in ours.items():
        assert mine.shape == tuple(theirs[key].shape)
        assert difference(mine, theirs[key]) <= ATOL, key
    found = gradients(twin, slopes)
    for key, parameter in model.named_parameters():
        told = parameter.grad
        if told is None:  # sines are not learnt
            assert key not in found
            continue
        size = max(1.0, float(told.abs().max()))
        assert difference(found[key], told) <= ATOL * size, key
    # The same through a call with numpy's arrays, op by op.
    called = twin(**given, **arrays)
    assert list(called) == list(theirs)
    for key, mine in called.items():
        assert difference(mine, theirs[key]) <= ATOL, key
    # Without the mask it would be another answer.
    assert difference(twin(numbers(input_ids))[0], theirs[1 if labels else 0], None) > 10 * ATOL


@pytest.mark.parametrize("name", CLASSES)
def test_the_peers_tensorflow_classes_answer_alike(name: str, tmp_path: Path) -> None:
    """On rows with a live first token: the peer's heads read column 0, which may be padding."""
    model = scatter(getattr(distilbert, name)(CONFIGS["usual"]))
    twin = twin_of(model)
    input_ids, mask, _ = inputs(name, model.config, "right")
    mask[..., 0] = 1
    twin.save_pretrained(tmp_path)
    peer = load_peer(name, "TF", tmp_path, from_pt=True)
    given = [numbers(input_ids).astype(np.int32), numbers(mask).astype(np.int32)]
    ours, theirs = twin(given), peer(input_ids=given[0], attention_mask=given[1])
    live = mask if ours[0].shape[:2] == mask.shape and "Choice" not in name else None
    for key in ours:
        assert difference(ours[key], theirs[key], live) <= ATOL, key
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
    shown = {"output_attentions": True, "output_hidden_states": True}
    for pairs in (given["attention_mask"], given["attention_mask"].float().log()):
        given["attention_mask"] = pairs
        ours = twin(**{name: numbers(x) for name, x in given.items()}, **shown)
        with torch.no_grad():
            theirs = model(**given, **shown)
        for name in ("hidden_states", "attentions"):
            for mine, other in zip(ours[name], theirs[name], strict=True):
                assert difference(mine, other) <= ATOL, name


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


def test_kinds_of_problems_cost_what_they_cost_in_torch() -> None:
    ids = np.arange(1, 13).reshape(2, 6)
    for changes, labels in (
        ({"num_labels": 1}, np.array([0.3, -2.0], np.float32)),
        ({"num_labels": 3}, np.array([[1, 0, 1], [0, 0, 1]], np.float32)),
        ({"num_labels": 3, "problem_type": "regression"}, np.array([[1, 0, 2], [0, -1, 1]], np.float32)),
        ({"num_labels": 3, "problem_type": "single_label_classification"}, np.array([[2], [0]])),
    ):
        config = distilbert.DistilBertConfig.from_dict(CONFIGS["usual"].to_dict(), **changes)
        model = scatter(distilbert.DistilBertForSequenceClassification(config))
        told = model(torch.from_numpy(ids), labels=torch.from_numpy(labels)).loss
        assert difference(twin_of(model)(ids, labels=labels).loss, told) <= ATOL
