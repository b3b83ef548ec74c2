"""A model is taken apart once, and anew as soon as anything of it is another."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jax_twins import difference, numbers, twin_of
from tiny import ragged, tiny

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'distilbert[jax]'")

import jax.numpy as jnp  # noqa: E402  # after the skip
from flax import nnx  # noqa: E402

from distilbert.jax.forms import taken_apart  # noqa: E402

IDS, MASK = (numbers(x) for x in ragged("DistilBertModel", 3, 9))
NAME = "DistilBertForSequenceClassification"


def small(**changes: Any) -> Any:
    return twin_of(tiny(NAME, n_layers=1, **changes))


def anew(model: Any) -> Any:
    """What a model says that is taken apart by Flax itself, here and now."""
    return nnx.merge(*nnx.split(model))(IDS, MASK).logits


def shrink_a_kernel(model: Any) -> None:
    model.classifier.kernel = nnx.Param(0.5 * model.classifier.kernel[...])


def write_into_a_kernel(model: Any) -> None:
    model.classifier.kernel[...] = 0.5 * model.classifier.kernel[...]


def change_a_part(model: Any) -> None:
    other = small()
    shrink_a_kernel(other)
    model.classifier = other.classifier


CHANGES: dict[str, Callable[[Any], object]] = {
    "another parameter": shrink_a_kernel,
    "other numbers": write_into_a_kernel,
    "another part": change_a_part,
    "a head less": lambda model: model.prune_heads({0: [1]}),
    "an activation": lambda model: setattr(model.distilbert.transformer.layer[0].ffn, "activation", jnp.tanh),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_changed_is_seen(change: Callable[[Any], object]) -> None:
    model = small()
    before = model(IDS, MASK).logits
    assert difference(model(IDS, MASK).logits, before) == 0.0
    change(model)
    assert difference(model(IDS, MASK).logits, anew(model)) < 1e-6
    assert difference(model(IDS, MASK).logits, before) > 1e-4, "nothing was changed, and nothing is shown"


def test_a_kind_and_a_field_that_change_in_place_are_seen() -> None:
    model = small()
    forms = [taken_apart(model, hash(model._fields))[0]]
    model.set_attention("dot_product_attention")  # whose arrays and attributes are the other's
    forms.append(taken_apart(model, hash(model._fields))[0])
    model.config.problem_type = "regression"
    forms.append(taken_apart(model, hash(model._fields))[0])
    model.train()
    forms.append(taken_apart(model, hash(model._fields))[0])
    assert len(set(forms)) == len(forms)
    assert taken_apart(model, hash(model._fields))[0] is forms[-1]


def test_models_alike_are_of_one_form_and_keep_their_arrays() -> None:
    one, other = small(), small()
    shrink_a_kernel(other)
    (form, arrays), (its_form, its_arrays) = (taken_apart(m, hash(m._fields)) for m in (one, other))
    assert form == its_form
    assert hash(form) == hash(its_form)
    apart = [difference(a, b) for a, b in zip(arrays, its_arrays, strict=True)]
    assert np.count_nonzero(apart) == 1
    assert difference(form.with_arrays(its_arrays)(IDS, MASK).logits, other(IDS, MASK).logits) < 1e-6


def test_a_model_that_nobody_has_any_more_is_let_go() -> None:
    model = small()
    model(IDS, MASK)
    table = weakref.ref(model.distilbert.embeddings.word_embeddings)
    assert table() is not None
    del model
    gc.collect()
    assert table() is None


def test_a_model_inside_a_compiled_function_leaves_nothing_behind() -> None:
    model = small()
    with jax.checking_leaks():
        said = nnx.jit(lambda model, ids, mask: model(ids, mask).logits)(model, IDS, MASK)
    assert difference(said, model(IDS, MASK).logits) < 1e-6
