"""The Keras wing's BERT: answers, losses and gradients against PyTorch's and the peer's in TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from keras_twins import ATOL, difference, gradients, numbers, twin_of
from models import batch, scatter
from other_frameworks import load_peer, tensorflow
from tiny import answers

import distilbert

keras = pytest.importorskip("keras", reason="Keras is not installed: pip install 'distilbert[keras]'")

import distilbert.keras as wing  # noqa: E402  # after the skip
from distilbert.keras.layout import Padded  # noqa: E402

HEADS = ("Model", "ForMaskedLM", "ForSequenceClassification", "ForMultipleChoice", "ForTokenClassification",
         "ForQuestionAnswering")  # fmt: skip
CONFIG = distilbert.BertConfig(
    vocab_size=60, max_position_embeddings=24, num_hidden_layers=1, num_attention_heads=4, hidden_size=32,
    intermediate_size=64, type_vocab_size=3,
)  # fmt: skip


def inputs(name: str, side: str = "right") -> dict[str, torch.Tensor]:
    """Ragged rows, one of them empty, of two or three texts each."""
    input_ids, mask = batch(CONFIG, side=side)
    types = torch.arange(input_ids.shape[1]).expand(input_ids.shape) * 3 // input_ids.shape[1]
    given = {"input_ids": input_ids, "attention_mask": mask, "token_type_ids": types}
    return {key: x.unflatten(0, (2, 2)) if name.endswith("Choice") else x for key, x in given.items()}


def arrays(given: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {key: numbers(x) for key, x in given.items()}


@pytest.mark.parametrize("head", HEADS)
def test_answers_are_torch_s_and_the_peers(head: str, tmp_path: Path) -> None:
    model = scatter(getattr(distilbert, f"Bert{head}")(CONFIG))
    twin = twin_of(model)
    given = inputs(head, "left" if head == "ForSequenceClassification" else "right")
    labels = answers(head, given["input_ids"])
    ours = twin(**arrays(given), **arrays(labels))
    with torch.no_grad():
        theirs = model(**given, **labels)
    assert list(ours) == list(theirs)
    for key, mine in ours.items():
        assert difference(mine, theirs[key]) <= ATOL, key
    # As if all were one text it would be another answer.
    others = {**arrays(given), "token_type_ids": None}
    assert difference(twin(**others)[0], theirs[1 if labels else 0]) > 10 * ATOL
    twin.save_pretrained(tmp_path)
    peer = load_peer(f"Bert{head}", "TF", tmp_path, from_pt=True)
    given = inputs(head)
    given["attention_mask"][..., 0] = 1  # the peer's heads read column 0, which may be padding
    live = None if head in HEADS[2:4] else numbers(given["attention_mask"])
    asked = {key: x.astype(np.int32) for key, x in arrays(given).items()}
    told = peer(**asked)
    for key, mine in twin(**arrays(given)).items():
        assert difference(mine, told[key], live) <= ATOL, key
    assert difference(twin(**arrays(given))[0], peer(asked["input_ids"])[0], live) > 10 * ATOL


@pytest.mark.parametrize("head", ["ForMaskedLM", "ForSequenceClassification"])
def test_gradients_are_torch_s(head: str) -> None:
    model = scatter(getattr(distilbert, f"Bert{head}")(CONFIG))
    twin = twin_of(model)
    given = inputs(head)
    labels = answers(head, given["input_ids"])

    tf = tensorflow()

    @tf.function
    def slopes(given: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = twin(given).loss
        learnt = [variable.value for variable in twin.trainable_variables]
        return tape.gradient(loss, learnt, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    found = gradients(twin, slopes({key: tf.constant(x) for key, x in arrays({**given, **labels}).items()}))
    model(**given, **labels).loss.backward()
    for key, parameter in model.named_parameters():
        told = parameter.grad
        if told is None:
            assert not found[key].any(), key
            continue
        assert difference(found[key], told) <= ATOL * max(1.0, float(told.abs().max())), key
    assert {"bert.embeddings.token_type_embeddings.weight"} <= set(found)


def test_a_mutant_of_its_own_parts_fails() -> None:
    model = scatter(distilbert.BertForSequenceClassification(CONFIG))
    given = inputs("ForSequenceClassification")
    with torch.no_grad():
        theirs = model(**given).logits
    for part in ("tanh", "dropped"):
        twin = twin_of(model)
        if part == "tanh":
            twin.bert.pooler.call = twin.bert.pooler.dense
        else:
            table = twin.bert.embeddings.token_type_embeddings.embeddings
            table.assign(keras.ops.flip(table, axis=0))
        assert difference(twin(**arrays(given)).logits, theirs) > 10 * ATOL, part


def test_what_attention_gives_is_dropped_in_a_bert_alone() -> None:
    """At a rate of one nothing is left of it, and of the feed-forward's: states are norms of norms."""
    config = distilbert.BertConfig.from_dict({**CONFIG.to_dict(), "num_hidden_layers": 1})
    config.dropout, config.attention_dropout = 1.0, 0.0
    block = twin_of(scatter(distilbert.BertModel(config))).transformer.layer[0]
    x = np.random.default_rng(0).normal(size=(1, 3, 32)).astype(np.float32)
    key = np.array([1, 2])
    dropped, _ = block(x, layout=Padded(), columns=None, key=keras.ops.convert_to_tensor(key))
    assert difference(dropped, block.output_layer_norm(block.sa_layer_norm(x))) <= 1e-6
    assert difference(block(x, layout=Padded(), columns=None)[0], dropped) > 1e-2


def test_an_encoder_without_a_pooler_lacks_its_parameters_alone() -> None:
    whole, bare = (wing.BertModel(CONFIG, pooled=pooled) for pooled in (True, False))
    assert {*whole.arrays()} - {*bare.arrays()} == {"pooler.dense.weight", "pooler.dense.bias"}
    assert {"bert." + key for key in bare.arrays()} <= {*wing.BertForMaskedLM(CONFIG).arrays()}


def test_a_keras_file_keeps_whether_there_is_a_pooler(tmp_path: Path) -> None:
    model = wing.BertModel(CONFIG, pooled=False, seed=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert {*again.arrays()} == {*model.arrays()}
    ids = np.ones((1, 3), int)
    np.testing.assert_array_equal(again(ids).last_hidden_state, model(ids).last_hidden_state)
