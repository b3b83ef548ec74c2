"""What people of Keras do with a model: compile, fit, evaluate, predict, save; mixed precision, XLA."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from keras_twins import ATOL, difference, numbers, twin_of
from tiny import TEXTS, answers, ragged, tiny, tokenizers

import distilbert
from distilbert.core.text import BatchEncoding
from distilbert.errors import ConfigError, DataError

keras = pytest.importorskip("keras", reason="Keras is not installed: pip install 'distilbert[keras]'")

import distilbert.keras as wing  # noqa: E402  # after the skip

RAGGED = ragged("DistilBertModel", 6, 8)
IDS, MASK = (numbers(x) for x in RAGGED)
BATCH = {"input_ids": IDS, "attention_mask": MASK}


def small(name: str, **changes: Any) -> tuple[Any, Any]:
    """A model of PyTorch's of one layer, and its twin."""
    model = tiny(f"DistilBert{name}", n_layers=1, **changes)
    return model, twin_of(model, seed=0)


def test_names_with_and_without_the_prefix_are_one_class() -> None:
    for head in ("Model", "ForMaskedLM", "ForSequenceClassification", "ForMultipleChoice",
                 "ForTokenClassification", "ForQuestionAnswering"):  # fmt: skip
        assert getattr(wing, f"TFDistilBert{head}") is getattr(wing, f"DistilBert{head}")
        assert f"TFDistilBert{head}" in dir(wing)
    with pytest.raises(AttributeError, match="no attribute 'TFBert'"):
        wing.TFBert  # noqa: B018  # the access is what is tested


def test_a_step_by_the_models_own_loss_is_torch_s() -> None:
    """Labels beside the batch, in it, or as what a tokenizer gave; padding is not counted."""
    labels = numbers(answers("DistilBertForTokenClassification", RAGGED[0])["labels"])
    model, first = small("ForTokenClassification")
    second = twin_of(model)
    for twin in (first, second):
        twin.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"])
    seen = [
        first.fit(BatchEncoding({k: x.tolist() for k, x in BATCH.items()}), labels, verbose=0).history,
        second.fit({**BATCH, "labels": labels}, verbose=0).history,
    ]
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    told = model(*RAGGED, labels=torch.from_numpy(labels)).loss
    told.backward()
    optimiser.step()
    for twin, history in zip((first, second), seen, strict=True):
        assert abs(history["loss"][0] - float(told.detach())) <= ATOL
        assert 0.0 <= history["accuracy"][0] <= 1.0
        for key, array in twin.arrays().items():
            assert difference(array, model.arrays()[key]) <= ATOL, key
    scored = first.evaluate({**BATCH, "labels": labels}, verbose=0, return_dict=True)
    with torch.no_grad():
        assert abs(scored["loss"] - float(model(*RAGGED, labels=torch.from_numpy(labels)).loss)) <= ATOL
    with pytest.raises(DataError, match="learns by labels.*no labels"):
        first.fit(BATCH, verbose=0)
    with pytest.raises(ConfigError, match="weighs all rows alike"):
        first.fit(BATCH, labels, sample_weight=np.ones(6), verbose=0)


def test_the_models_own_loss_has_the_peers_names() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1])
    model, twin = small("ForSequenceClassification")
    for name in ("passthrough", None):
        twin.compile(keras.optimizers.SGD(0.0), loss=name)
        told = twin.fit(BATCH, labels, verbose=0, shuffle=False).history["loss"][0]
        assert abs(told - float(model(*RAGGED, labels=torch.from_numpy(labels)).loss.detach())) <= ATOL, name


def test_a_model_in_8_bits_answers_nearly_alike(tmp_path: Path) -> None:
    """Kept as Keras keeps it; a folder holds published parameters, and refuses."""
    _, twin = small("ForSequenceClassification")
    before = numbers(twin(BATCH).logits)
    with pytest.warns(UserWarning, match="does not have a `quantize` method"):
        twin.quantize("int8")
    held = {variable.dtype for variable in twin.variables}
    assert "int8" in held
    after = numbers(twin(BATCH).logits)
    assert 0 < np.abs(after - before).max() < 0.1 * np.abs(before).max()
    twin.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(BATCH).logits, after, atol=ATOL)
    with pytest.raises(ConfigError, match="Save a quantised model as Keras does"):
        twin.save_pretrained(tmp_path / "folder")


@pytest.mark.parametrize(("mode", "apart"), [("int8", 0.1), ("int4", 1.0)])
def test_a_tied_vocabulary_is_read_through_its_scales(mode: str, apart: float, tmp_path: Path) -> None:
    _, twin = small("ForMaskedLM", hidden_dim=128)
    before = numbers(twin(BATCH).logits)
    with pytest.warns(UserWarning, match="does not have a `quantize` method"):
        twin.quantize(mode)
    after = numbers(twin(BATCH).logits)
    assert 0 < np.abs(after - before).max() < apart * np.abs(before).max()
    twin.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(BATCH).logits, after, atol=ATOL)
    with pytest.raises(ConfigError, match=r"weights that are whole.*Prune first, and then quantise"):
        twin.prune_heads({0: [1]})
    assert not twin.config.pruned_heads


@pytest.mark.parametrize("tied", [True, False])
def test_no_gradient_of_the_vocabulary_is_held_for_each_token(tied: bool) -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    _, twin = small("ForMaskedLM", tie_word_embeddings=tied, vocab_size=500)
    projector, words = twin.get_output_embeddings(), twin.get_input_embeddings()
    kernel = words.embeddings if tied else projector.kernel
    states = np.random.default_rng(0).normal(size=(4, 6, 32)).astype(np.float32)

    def largest(project: Any) -> int:
        def slope(states: Any) -> Any:
            with tf.GradientTape() as tape:
                cost = tf.reduce_mean(project(states) ** 2)
            return tape.gradient(cost, kernel.value)

        graph = tf.function(slope).get_concrete_function(tf.constant(states)).graph
        sizes = [x.shape.num_elements() or 0 for one in graph.get_operations() for x in one.outputs]
        return max(sizes)

    whole = kernel.shape[0] * kernel.shape[1]
    assert largest(lambda x: projector(x, words=words)) == whole
    form = "...d,vd->...v" if tied else "...d,dv->...v"
    assert largest(lambda x: tf.einsum(form, x, kernel.value)) > 6 * whole  # as it is written most shortly


def test_losses_and_metrics_by_the_names_of_results() -> None:
    labels = IDS[:, 0] % 2
    one = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    seen = []
    for loss, metrics, given in (
        (one, ["accuracy"], labels),
        ({"logits": one}, {"logits": ["accuracy"]}, labels),
        ({"logits": one}, ["accuracy"], {"logits": labels}),
        ({"logits": one}, {"logits": "accuracy"}, {"labels": labels}),
        (one, {"logits": ["accuracy"]}, labels),
    ):
        _, twin = small("ForSequenceClassification")
        twin.compile(keras.optimizers.SGD(0.1), loss=loss, metrics=metrics)
        told = twin.fit(BATCH, given, verbose=0, shuffle=False, epochs=2).history
        seen.append([told[name] for name in ("loss", next(n for n in told if n.endswith("accuracy")))])
    assert all(one == seen[0] for one in seen), seen


def test_weighted_metrics_count_what_is_to_be_told() -> None:
    model, twin = small("ForTokenClassification")
    labels = np.where(MASK == 1, IDS % 2, -100)
    labels[:, 0] = -100
    twin.compile(keras.optimizers.SGD(0.0), weighted_metrics=["accuracy"])
    said = numbers(model(*RAGGED).logits).argmax(-1)
    right = (said == labels)[labels != -100].mean()
    told = twin.evaluate(BATCH, labels, verbose=0, return_dict=True, batch_size=4)
    assert abs(told["accuracy"] - right) < 1e-6
    assert abs(right - (said == labels).mean()) > 0.01  # which counts the others as wrong


def test_what_a_graph_cannot_see_is_refused_before() -> None:
    _, twin = small("ForSequenceClassification")
    twin.compile(keras.optimizers.SGD(0.0))
    labels = np.array([0, 1, 0, 1, 0, 1])
    for given, others, sentence in (
        ({"input_ids": IDS * 60, "attention_mask": MASK}, (labels,), "vocabulary"),
        (BATCH, (labels + 1,), "labels"),
        ({**BATCH, "labels": labels * 7}, (), "labels"),
    ):
        for way in (twin.fit, twin.evaluate):
            with pytest.raises(DataError, match=sentence):
                way(given, *others, verbose=0)
        with pytest.raises(DataError, match=sentence):
            twin.fit(BATCH, labels, validation_data=(given, *others), verbose=0)
    with pytest.raises(DataError, match="vocabulary"):
        twin.predict(IDS * 60, verbose=0)
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    twin.fit(BATCH, pandas.Series(labels), verbose=0)  # what Keras takes, and a call does not
    twin.config.return_dict = False
    with pytest.raises(ConfigError, match=r"results by name.*return_dict=False"):
        twin.fit(BATCH, labels, verbose=0)


def test_losses_and_metrics_of_keras_s_learn_and_are_told(tmp_path: Path) -> None:
    _, twin = small("ForSequenceClassification", dropout=0.1, seq_classif_dropout=0.2)
    labels = IDS[:, 0] % 2
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile(keras.optimizers.Adam(3e-3), loss=loss, metrics=["accuracy"], jit_compile=True)
    assert twin.jit_compile
    stop = keras.callbacks.EarlyStopping("loss", patience=50)
    told = twin.fit(
        BATCH, labels, epochs=12, batch_size=6, class_weight={0: 1.0, 1: 2.0}, callbacks=[stop],
        validation_data=(BATCH, labels), verbose=0,
    ).history  # fmt: skip
    assert told["loss"][-1] < told["loss"][0] / 2
    assert told["val_accuracy"][-1] == 1.0
    predicted = twin.predict(BATCH, verbose=0, batch_size=2)
    assert (predicted.logits.argmax(-1) == labels).all()
    assert difference(predicted.logits, twin(BATCH).logits) <= ATOL
    # All of it is kept in a file of Keras' own: configuration, weights, optimiser.
    twin.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is type(twin)
    assert again.config == twin.config
    assert difference(again.predict(BATCH, verbose=0).logits, predicted.logits) <= ATOL
    assert again.optimizer.iterations == 12
    assert "val_loss" in again.fit(BATCH, labels, validation_data=(BATCH, labels), verbose=0).history
    # And in the published folder.
    twin.save_pretrained(tmp_path / "folder")
    model = distilbert.DistilBertForSequenceClassification.from_pretrained(tmp_path / "folder")
    with torch.no_grad():
        assert difference(model(*RAGGED).logits, predicted.logits) <= ATOL


def test_answers_have_two_losses_of_keras_s_or_one_of_their_own() -> None:
    model, twin = small("ForQuestionAnswering")
    limits = {"start_positions": IDS[:, 0] * 0, "end_positions": MASK.sum(1) - 1}
    twin.compile(keras.optimizers.SGD(0.0))
    own = twin.evaluate(BATCH, limits, verbose=0)
    twin.compile(keras.optimizers.SGD(0.0), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    both = twin.evaluate({**BATCH, **limits}, verbose=0, return_dict=True)["loss"]
    with torch.no_grad():
        told = model(*RAGGED, **{k: torch.from_numpy(np.asarray(x)) for k, x in limits.items()}).loss
    assert abs(own - float(told)) <= ATOL
    assert abs(both - 2 * float(told)) <= 2 * ATOL  # Keras sums what the model takes the mean of


def test_an_input_of_keras_s_makes_a_model_around_it() -> None:
    _, twin = small("Model")
    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in BATCH)
    states = twin({"input_ids": ids, "attention_mask": mask}).last_hidden_state
    around = keras.Model({"input_ids": ids, "attention_mask": mask}, keras.layers.Dense(3)(states[:, 0]))
    assert around.predict(BATCH, verbose=0).shape == (6, 3)
    again = type(twin).from_config(twin.get_config())
    assert again.config == twin.config
    assert again.name == twin.name


def test_recomputing_and_dropping_change_only_what_they_say() -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    _, twin = small("ForMaskedLM", dropout=0.3, attention_dropout=0.3)

    def slopes() -> list[Any]:
        twin.seeds.state.assign([7, 0])
        with tf.GradientTape() as tape:
            loss = twin(BATCH, labels=IDS, training=True).loss
        found = tape.gradient(loss, [variable.value for variable in twin.trainable_variables])
        return [tf.convert_to_tensor(slope) for slope in found]

    usual = slopes()
    twin.gradient_checkpointing_enable()
    assert twin.is_gradient_checkpointing
    for one, other in zip(usual, slopes(), strict=True):
        assert difference(one, other) <= ATOL
    twin.gradient_checkpointing_disable()
    first, second = (twin(BATCH, training=True).logits for _ in range(2))
    assert difference(first, second) > 1e-3  # the generator has moved on
    assert difference(twin(BATCH).logits, twin(BATCH).logits) == 0.0


def test_a_table_of_rows_becomes_batches(tmp_path: Path) -> None:
    tokenizer, _ = tokenizers(tmp_path)
    _, twin = small("ForTokenClassification", vocab_size=60)
    ids = [tokenizer(text)["input_ids"] for text in TEXTS[:5]]
    rows = [{"input_ids": row, "labels": [i % 2 for i in row], "text": "left"} for row in ids]
    in_order = twin.prepare_tf_dataset(rows, batch_size=2, shuffle=False, tokenizer=tokenizer)
    seen = list(in_order.as_numpy_iterator())
    assert [len(batch["input_ids"]) for batch, _ in seen] == [2, 2, 1]
    for number, row in enumerate(rows):
        batch, labels = (x for x in seen[number // 2])
        place, length = number % 2, len(row["input_ids"])
        assert batch["input_ids"][place, :length].tolist() == row["input_ids"]
        assert batch["attention_mask"][place].tolist() == [1] * length + [0] * (labels.shape[1] - length)
        assert labels[place].tolist() == row["labels"] + [-100] * (labels.shape[1] - length)
        assert set(batch) == {"input_ids", "attention_mask"}
    shuffled = twin.prepare_tf_dataset(rows, batch_size=1, tokenizer=tokenizer)
    found = sorted(batch["input_ids"][0].tolist() for batch, _ in shuffled.as_numpy_iterator())
    assert found == sorted(ids)
    twin.compile(keras.optimizers.SGD(0.1))
    told = twin.fit(in_order, epochs=4, verbose=0).history["loss"]
    assert told[-1] < told[0]
    with pytest.raises(DataError, match="one length.*tokenizer="):
        twin.prepare_tf_dataset(rows, batch_size=2)
    with pytest.raises(DataError, match="none of these columns"):
        twin.prepare_tf_dataset([{"text": "left"}])
    with pytest.raises(DataError, match="no rows"):
        twin.prepare_tf_dataset([])
    # One label a text stays one, and a function of one's own makes batches of rows.
    one = small("ForSequenceClassification")[1].prepare_tf_dataset(
        {"input_ids": ids, "label": [0, 1, 1, 0, 1]}, shuffle=False, batch_size=5,
        collate_fn=lambda rows, width: {
            "input_ids": np.stack([np.resize(row["input_ids"], width) for row in rows]),
            "labels": [row["labels"] for row in rows],
        },
        collate_fn_args={"width": 7},
    )  # fmt: skip
    ((batch, labels),) = one.as_numpy_iterator()
    assert batch["input_ids"].shape == (5, 7)
    assert labels.tolist() == [0, 1, 1, 0, 1]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_half_precision_is_finite_for_every_mask(policy: str) -> None:
    model, _ = small("Model")
    half = twin_of(model, dtype=policy)
    masks = np.stack([np.zeros(8, int), np.arange(8) < 1, np.arange(8) >= 7, np.arange(8) % 2])
    ids = np.tile(IDS[:1], (4, 1))
    pairs = np.where(masks[:, None, None], 0.0, np.finfo(np.float32).min).astype(np.float32)
    with torch.no_grad():
        truth = model(torch.from_numpy(ids), torch.from_numpy(masks)).last_hidden_state
    for mask in (masks, pairs):
        ours = keras.ops.convert_to_numpy(half(ids, mask).last_hidden_state).astype(np.float32)
        assert np.isfinite(ours).all()
        assert difference(ours, truth, masks) < 0.1
    assert half.transformer.layer[0].ffn.lin1.compute_dtype in policy
