"""The way of a call: checked where it comes in, computed as one compiled function, cut where it goes out.

A function that is compiled is compiled for shapes. So rows are computed at one of a few lengths
(``batch.bucket``), and each length costs one compilation, however many lengths of text there are. A call
inside a function that is itself compiled, differentiated or mapped becomes a part of that one, at the shapes
that it is given.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import jax
import numpy as np
from flax import nnx

from distilbert.core.outputs import ModelOutput
from distilbert.errors import ConfigError
from distilbert.jax.adjustable import Adjustable
from distilbert.jax.batch import Batch, check_head_mask, widened
from distilbert.jax.forms import Form, taken_apart
from distilbert.jax.loading import leaves_of, places
from distilbert.jax.modules import Array
from distilbert.jax.recording import has_values, is_at_hand, is_recording


class Called(Adjustable):
    """The part of every model class that answers a call. Abstract.

    Attributes:
        deterministic: whether a call that does not say drops nothing; ``model.train()`` and ``model.eval()``
            set it.
    """

    #: Of its results, those that have a number or a row for each token, in the second axis.
    lies_as_tokens: ClassVar[tuple[str, ...]] = ()
    deterministic: bool
    #: The configuration, as a part of the model's form.
    _fields: Any

    def _answer(
        self,
        inputs: tuple[Any, ...],
        head_mask: Array | None,
        params: Any,
        dropout_rng: Any,
        train: bool | None,
        output_attentions: bool | None,
        output_hidden_states: bool | None,
        return_dict: bool | None,
        **labels: Any,
    ) -> Any:
        config = self.config
        attentions = chosen(output_attentions, config.output_attentions)
        hidden_states = chosen(output_hidden_states, config.output_hidden_states)
        check_head_mask(config, head_mask)
        key = self._key(chosen(train, not self.deterministic), dropout_rng)
        batch = inputs[0]
        if not isinstance(batch, Batch):
            whole = attentions or hidden_states or not self.head.reads_one_token
            batch = self.encoder.batch(*inputs, output_attentions=attentions, first_only=not whole)
        given = self._check_labels(batch, **labels)
        shown = {"output_attentions": attentions, "output_hidden_states": hidden_states}
        form, arrays = self._apart(params)
        if is_recording(arrays, batch, head_mask, key, given):
            model = self if params is None else form.with_arrays(arrays)
            output = model._compute(batch, head_mask, key, given, **shown)
        else:
            wide = widened(config, batch)
            given = self._widen_labels(given, wide)
            output = computed(form, arrays, wide, head_mask, key, given, **shown)
            output = self._cut(output, batch.shape[1], wide.shape[1])
        return output if chosen(return_dict, config.use_return_dict) else output.to_tuple()

    def _compute(
        self,
        batch: Batch,
        head_mask: Array | None,
        key: Array | None,
        labels: dict[str, Array],
        *,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        """The answer, in pure JAX."""
        raise NotImplementedError

    def _check_labels(self, batch: Batch, **labels: Any) -> dict[str, Array]:
        """Labels that fit the batch, those that are given."""
        return {}

    def _widen_labels(self, labels: dict[str, Array], batch: Batch) -> dict[str, Array]:
        """Labels for a batch that has become wider; those of whole texts stay."""
        return labels

    def _key(self, train: bool, dropout_rng: Any) -> Array | None:
        """What a call in training drops by."""
        if not train:
            return None
        self.encoder._attentions[0].refuse_dropout()
        if isinstance(dropout_rng, nnx.Rngs):
            return dropout_rng.dropout()
        rates = ("dropout", "attention_dropout", "seq_classif_dropout", "qa_dropout", "classifier_dropout")
        if dropout_rng is None and any(getattr(self.config, rate, 0.0) for rate in rates):
            raise ConfigError(
                "A call in training needs a key to drop by.",
                received="train=True without dropout_rng",
                remedy="Give dropout_rng=jax.random.key(0), another for each step, or an nnx.Rngs.",
            )
        return dropout_rng

    def _apart(self, params: Any) -> tuple[Form, list[Array]]:
        """The model's form and its arrays: its own, or those of a tree like ``model.params``."""
        form, arrays = taken_apart(self, hash(self._fields))
        if params is None:
            if any(isinstance(array, jax.ShapeDtypeStruct) for array in arrays):
                self._refuse_hollow("computed with")
            return form, arrays
        own = places(self.manifest)
        named = {own[key].name: leaf for key, leaf in leaves_of(params, self.manifest).items()}
        return form, form.arrays_of(named)

    def _cut(self, output: ModelOutput, length: int, wide: int) -> ModelOutput:
        """What belongs to the length that a call came with, of an answer about wider rows."""
        if length == wide:
            return output
        for name in self.lies_as_tokens:
            output[name] = _part(output[name], np.s_[:, :length])
        for name, part in (
            ("hidden_states", np.s_[:, :length]),
            ("attentions", np.s_[:, :, :length, :length]),
        ):
            if output.get(name) is not None:
                output[name] = tuple(_part(x, part) for x in output[name])
        return output


def _part(x: Array, part: Any) -> Array:
    """A part of an array. On the host it is numpy that cuts, which compiles nothing for a new length."""
    return jax.device_put(np.asarray(x)[part]) if has_values(x) and is_at_hand(x) else x[part]


@partial(jax.jit, static_argnames=("form", "output_attentions", "output_hidden_states"))
def computed(
    form: Form,
    arrays: Sequence[Array],
    batch: Batch,
    head_mask: Array | None,
    key: Array | None,
    labels: Mapping[str, Array],
    *,
    output_attentions: bool,
    output_hidden_states: bool,
) -> ModelOutput:
    """The answer of a model that was taken apart, compiled."""
    model = form.with_arrays(arrays)
    return model._compute(
        batch,
        head_mask,
        key,
        labels,
        output_attentions=output_attentions,
        output_hidden_states=output_hidden_states,
    )


def chosen(asked: bool | None, usual: bool) -> bool:
    """What a call asks for, or where it leaves that open, what was said before."""
    return usual if asked is None else asked
