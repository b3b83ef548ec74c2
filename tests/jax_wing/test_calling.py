"""The published way of calling, and Flax's own: keys, trees of parameters, compilation, packed rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from jax_twins import ATOL, difference, numbers, twin_of
from tiny import answers, ragged, tiny, tiny_config

import distilbert
from distilbert.errors import ConfigError

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'distilbert[jax]'")

import jax.numpy as jnp  # noqa: E402  # after the skip
import optax  # noqa: E402
from flax import nnx  # noqa: E402
from flax.traverse_util import flatten_dict, unflatten_dict  # noqa: E402

import distilbert.jax as wing  # noqa: E402
from distilbert.jax import calling  # noqa: E402

IDS, MASK = (numbers(x) for x in ragged("DistilBertModel", 3, 9))


def small(name: str, **changes: Any) -> Any:
    """A twin of one layer, so that compiling it costs little."""
    return twin_of(tiny(name, n_layers=1, **changes))


@pytest.fixture(scope="module")
def model() -> Any:
    return small("DistilBertForTokenClassification", dropout=0.5, attention_dropout=0.1)


def test_names_with_and_without_the_prefix_are_one_class() -> None:
    for head in ("Model", "ForMaskedLM", "ForSequenceClassification", "ForMultipleChoice",
                 "ForTokenClassification", "ForQuestionAnswering"):  # fmt: skip
        assert getattr(wing, f"FlaxDistilBert{head}") is getattr(wing, f"DistilBert{head}")
        assert f"FlaxDistilBert{head}" in dir(wing)
    with pytest.raises(AttributeError, match="no attribute 'FlaxBert'"):
        wing.FlaxBert  # noqa: B018  # the access is what is tested


def test_training_needs_a_key_and_follows_it(model: Any) -> None:
    with pytest.raises(ConfigError, match=r"needs a key.*train=True without dropout_rng"):
        model(IDS, MASK, train=True)
    usual = model(IDS, MASK).logits
    first, again, other = (
        model(IDS, MASK, train=True, dropout_rng=jax.random.key(seed)).logits for seed in (0, 0, 1)
    )
    assert difference(first, again) == 0.0
    assert min(difference(first, other), difference(first, usual)) > 1e-3
    model.train()
    rngs = nnx.Rngs(0)
    one, two = (model(IDS, MASK, dropout_rng=rngs).logits for _ in range(2))
    assert difference(one, two) > 1e-3  # generators move on
    model.eval()
    assert difference(model(IDS, MASK).logits, usual) == 0.0


def test_a_kernel_that_drops_nothing_says_so(model: Any) -> None:
    model.set_attention("dot_product_attention")
    with pytest.raises(ConfigError, match=r"drops no attention weights.*attention_dropout=0.1.*eager"):
        model(IDS, MASK, train=True, dropout_rng=jax.random.key(0))
    model.set_attention("eager")
    with pytest.raises(ConfigError, match="eager, dot_product_attention"):
        model.set_attention("flash")


def test_results_come_in_the_order_of_torch_s(model: Any) -> None:
    labels = IDS % 2
    shown = {"output_attentions": True, "output_hidden_states": True}
    output = model(IDS, MASK, labels=labels, **shown)
    assert list(output) == ["loss", "logits", "hidden_states", "attentions"]
    as_tuple = model(IDS, MASK, None, None, None, False, True, True, False, labels=labels)
    assert [len(x) if isinstance(x, tuple) else x.shape for x in as_tuple] == [(), (3, 9, 2), 2, 1]
    assert output.attentions[0].shape == (3, 4, 9, 9)
    assert output.hidden_states[0].shape == (3, 9, 32)
    assert not numbers(output.hidden_states[0])[MASK == 0].any()
    leaves, form = jax.tree.flatten(output)
    assert list(jax.tree.unflatten(form, leaves)) == list(output)


def test_parameters_of_a_call_take_the_place_of_the_models(model: Any) -> None:
    usual = model(IDS, MASK).logits
    half = jax.tree.map(lambda x: x / 2, model.params)
    assert difference(model(IDS, MASK, params=half).logits, usual) > 1e-3
    assert difference(model(IDS, MASK).logits, usual) == 0.0
    model.params, before = half, model.params
    assert difference(model(IDS, MASK).logits, usual) > 1e-3
    model.params = before
    with pytest.raises(ConfigError, match=r"must hold every parameter.*no classifier/bias"):
        model(IDS, MASK, params={**before, "classifier": {"kernel": before["classifier"]["kernel"]}})
    with pytest.raises(ConfigError, match=r"shapes of the model.*classifier/bias \[3\]"):
        model(IDS, params={**before, "classifier": {**before["classifier"], "bias": np.zeros(3)}})
    cast = model.to_bf16(before, mask=jax.tree.map(lambda x: x.ndim == 2, before))
    assert cast["classifier"]["kernel"].dtype == jnp.bfloat16
    assert cast["classifier"]["bias"].dtype == jnp.float32
    assert set(flatten_dict(before)) == model.required_params


def test_a_model_that_keeps_no_parameters(tmp_path: Any, model: Any) -> None:
    model.save_pretrained(tmp_path)
    hollow, params = type(model).from_pretrained(tmp_path, _do_init=False)
    for touch in (lambda: hollow.params, lambda: setattr(hollow, "params", params), lambda: hollow(IDS)):
        with pytest.raises(ConfigError, match=r"_do_init=False keeps no parameters.*params=params"):
            touch()
    assert difference(hollow(IDS, MASK, params=params).logits, model(IDS, MASK).logits) == 0.0
    del params["classifier"]
    whole = hollow.init_weights(jax.random.key(0), (1, 1), params)
    assert set(flatten_dict(whole)) == hollow.required_params
    assert not numbers(whole["classifier"]["bias"]).any()


@pytest.fixture
def compiled() -> Iterator[list[str]]:
    """What is compiled while a test runs, the smallest of functions too."""
    seen: list[str] = []

    def listen(event: str, _seconds: float, **_: Any) -> None:
        if event.endswith("backend_compile_duration"):
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


def test_one_compilation_for_each_length_bucket(compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    model = small("DistilBertForTokenClassification", max_position_embeddings=40)

    def compilations(*lengths: int) -> int:
        before = len(compiled)
        for length in lengths:
            ids = np.ones((2, length), int)
            output = model(ids, ids, output_hidden_states=True)
            assert output.logits.shape == (2, length, 2)
            assert output.hidden_states[0].shape == (2, length, 32)
        return len(compiled) - before

    assert compilations(5, 1, 16, 9) == 1
    assert compilations(30, 17, 32) == 1
    assert compilations(33, 40) == 1  # at 40, which is all the positions there are
    assert compilations(*range(1, 41, 3)) == 0

    def of_states_and_pairs(*lengths: int) -> int:
        before = len(compiled)
        for length in lengths:
            model(inputs_embeds=np.ones((2, length, 32), np.float32))
            model(np.ones((2, length), int), np.ones((2, 1, length, length), bool))
        return len(compiled) - before

    assert of_states_and_pairs(5, 1, 15, 9) == 2
    assert of_states_and_pairs(2, 14) == 0
    monkeypatch.setattr(calling, "widened", lambda config, batch: batch)
    assert compilations(3, 4, 5) == 3


@pytest.mark.parametrize("name", ["DistilBertForTokenClassification", "DistilBertForQuestionAnswering"])
@pytest.mark.parametrize("kind", ["states", "numbers", "booleans", "one row of booleans", "a dead row"])
def test_rows_made_wider_answer_as_they_are(name: str, kind: str) -> None:
    original = tiny(name, n_layers=2)
    twin = twin_of(original)
    ids = IDS[:, :9]
    hidden = np.random.default_rng(0).random((3, 1, 9, 9)) < 0.4
    hidden[1, 0, 2] = True  # a token that attends to nothing
    lowest = np.finfo(np.float32).min
    given: dict[str, Any] = {
        "states": {"inputs_embeds": np.random.default_rng(1).normal(size=(3, 9, 32)).astype(np.float32)},
        "numbers": {"input_ids": ids, "attention_mask": np.where(hidden, lowest, 0.5).astype(np.float32)},
        "booleans": {"input_ids": ids, "attention_mask": ~hidden},
        "one row of booleans": {"input_ids": ids, "attention_mask": ~hidden[:, :, :1]},
        "a dead row": {"input_ids": ids, "attention_mask": MASK[:, :9] * np.array([[1], [0], [1]])},
    }[kind]
    if name.endswith("QuestionAnswering"):
        given |= {"start_positions": np.array([0, 9, 4]), "end_positions": np.array([2, 12, 8])}
    else:
        given |= {"labels": ids % 2}
    # PyTorch leaves a dead row out of what it computes where hidden states are asked for, too.
    shown = {"output_attentions": True, "output_hidden_states": kind != "a dead row"}
    told = original(**{key: torch.from_numpy(x) for key, x in given.items()}, **shown)
    said = twin(**given, **shown)
    assert list(said) == list(told)
    for key in told:
        ours, theirs = said[key], told[key]
        pairs = zip(ours, theirs, strict=True) if isinstance(theirs, tuple) else [(ours, theirs)]
        assert all(difference(a, b) < ATOL for a, b in pairs), key


def test_flax_s_own_ways(model: Any) -> None:
    usual = model(IDS, MASK).logits
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    assert not jax.tree.leaves(rest)
    assert len(jax.tree.leaves(params)) == len(model.required_params)
    merged = nnx.merge(graphdef, params, rest)
    assert difference(nnx.jit(lambda m, ids, mask: m(ids, mask).logits)(merged, IDS, MASK), usual) < 1e-5
    assert merged.config == model.config
    shapes = jax.eval_shape(lambda model, ids: model(ids).logits, model, IDS)  # a tree, to plain JAX
    assert shapes.shape == (3, 9, 2)


def test_a_training_script_of_the_peers(tmp_path: Any) -> None:
    """A step as its Flax examples write it: a state of parameters, a call, decay for kernels alone."""
    from flax.training.train_state import TrainState

    config = tiny_config(n_layers=1, dropout=0.1, num_labels=2)
    model = wing.FlaxDistilBertForSequenceClassification(config, seed=0, dtype=jnp.float32)
    labels = IDS[:, 0] % 2

    def decays(params: Any) -> Any:
        return unflatten_dict({p: p[-1] != "bias" and "LayerNorm" not in p for p in flatten_dict(params)})

    optimiser = optax.adamw(1e-2, weight_decay=0.01, mask=decays)
    state = TrainState.create(apply_fn=model.__call__, params=model.params, tx=optimiser)

    @jax.jit
    def step(state: Any, batch: Any, key: Any) -> Any:
        key, now = jax.random.split(key)

        def loss(params: Any) -> Any:
            logits = state.apply_fn(**batch, params=params, dropout_rng=now, train=True)[0]
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, slopes = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=slopes), value, key

    key, seen = jax.random.key(0), []
    for _ in range(12):
        state, value, key = step(state, {"input_ids": IDS, "attention_mask": MASK}, key)
        seen.append(float(value))
    assert seen[-1] < seen[0] / 2
    model.save_pretrained(tmp_path, params=state.params)
    trained = distilbert.DistilBertForSequenceClassification.from_pretrained(tmp_path)
    told = model(IDS, MASK, params=state.params).logits
    import torch

    with torch.no_grad():
        assert difference(trained(torch.from_numpy(IDS), torch.from_numpy(MASK)).logits, told) < 2e-5


def test_recomputing_changes_no_gradient() -> None:
    model = small("DistilBertForMaskedLM")
    labels = {"labels": IDS}

    def loss(model: Any) -> Any:
        return model(IDS, MASK, **labels).loss

    kept = nnx.jit(nnx.grad(loss))(model)
    model.enable_gradient_checkpointing()
    assert model.is_gradient_checkpointing
    graphdef, state = nnx.split(model)
    graph = str(jax.make_jaxpr(jax.grad(lambda state: loss(nnx.merge(graphdef, state))))(state))
    assert "remat" in graph or "checkpoint" in graph
    again = nnx.jit(nnx.grad(loss))(model)
    for one, other in zip(jax.tree.leaves(kept), jax.tree.leaves(again), strict=True):
        assert difference(one, other) < 1e-5
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing


@pytest.mark.parametrize(
    "name", ["DistilBertForMaskedLM", "DistilBertForSequenceClassification", "DistilBertForQuestionAnswering"]
)
def test_packed_rows_answer_as_each_text_alone(name: str) -> None:
    model = small(name)
    texts = [ids[: mask.sum()] for ids, mask in zip(IDS, MASK, strict=True)]
    packed = distilbert.pack(texts, length=12)
    told = {key: numbers(x) for key, x in answers(name, *map(_tensor, (IDS,))).items()}
    rows = model(IDS, MASK, **told)
    if name.endswith("MaskedLM"):
        told = {"labels": packed.input_ids}
    ours = model(packed, **told)
    assert difference(ours.loss, rows.loss) < 1e-5
    if name.endswith("SequenceClassification"):
        assert difference(ours.logits, rows.logits) < 1e-5
        return
    for key in list(ours)[1:]:
        flat = numbers(ours[key]).reshape(-1, *ours[key].shape[2:])
        assert difference(flat[packed.order], numbers(rows[key])[MASK == 1]) < 1e-4
        padding = numbers(ours[key])[packed.segment_ids == 0]
        assert (padding == (0.0 if name.endswith("MaskedLM") else np.finfo(np.float32).min)).all()


def _tensor(array: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(array)


def test_a_batch_that_was_made_ready_goes_into_a_compiled_function() -> None:
    model = small("DistilBertModel")
    packed = distilbert.pack([[1, 2, 3], [4, 5], [6]], length=4)
    batch = model.batch(packed)
    compiled = nnx.jit(lambda model, batch: model(batch).last_hidden_state)
    assert difference(compiled(model, batch), model(packed).last_hidden_state) < 1e-6


def test_an_exported_model_answers_the_same() -> None:
    model = small("DistilBertForSequenceClassification")
    shape = jax.ShapeDtypeStruct((3, 9), jnp.int32)
    exported = jax.export.export(jax.jit(model))(shape, shape)
    again = jax.export.deserialize(exported.serialize())
    ids, mask = IDS.astype(np.int32), MASK.astype(np.int32)
    assert difference(again.call(ids, mask).logits, model(ids, mask).logits) < 1e-5


@pytest.mark.parametrize(
    ("dtype", "implementation"),
    [(jnp.float16, "eager"), (jnp.bfloat16, "eager"), (jnp.bfloat16, "dot_product_attention")],
)
def test_half_precision_is_finite_for_every_mask(dtype: Any, implementation: str) -> None:
    model = small("DistilBertModel")
    half = twin_of(tiny("DistilBertModel", n_layers=1), dtype=dtype, param_dtype=dtype)
    half.set_attention(implementation)
    masks = np.stack([np.zeros(9, int), np.arange(9) < 1, np.arange(9) >= 8, np.arange(9) % 2])
    ids = np.tile(IDS[:1], (4, 1))
    ours, truth = half(ids, masks).last_hidden_state, model(ids, masks).last_hidden_state
    assert ours.dtype == dtype
    assert np.isfinite(numbers(ours).astype(np.float32)).all()
    assert difference(numbers(ours).astype(np.float32), truth) < 0.1
    assert not numbers(ours)[0].any()


def test_a_kernel_without_half_precision_on_a_processor_says_so() -> None:
    half = twin_of(tiny("DistilBertModel", n_layers=1), dtype=jnp.float16)
    half.set_attention("dot_product_attention")
    with pytest.raises(ConfigError, match=r"float16 on a CPU.*set_attention\('eager'\)"):
        half(IDS, MASK)
