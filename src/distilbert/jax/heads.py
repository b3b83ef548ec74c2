"""The encoder with something to answer: five heads, each on whichever encoder.

Logits at padding are zeros, and of an answer's limits the lowest number there is.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distilbert.core import calls
from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.core.data.packing import PackedBatch
from distilbert.core.outputs import (
    BaseModelOutput,
    MaskedLMOutput,
    ModelOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from distilbert.core.parameters import Head
from distilbert.jax import true_answers
from distilbert.jax.batch import Batch, check_ids, refuse_others
from distilbert.jax.encoder import activation
from distilbert.jax.headed import HeadedModel
from distilbert.jax.layout import Packed
from distilbert.jax.losses import choice_loss, classification_loss, span_loss, token_loss
from distilbert.jax.modules import Array, Kinds, dropped, linear, norm
from distilbert.jax.true_answers import Labels
from distilbert.jax.vocabulary import VocabularyProjector


class _TokenModel(HeadedModel):
    """An encoder with logits for each token. Abstract."""

    def _check_labels(self, batch: Batch, **given: Any) -> Labels:
        classes = self.config.vocab_size if self.head is Head.MASKED_LM else self.config.num_labels
        return true_answers.of_tokens(batch, given["labels"], classes=classes)

    def _widen_labels(self, labels: Labels, batch: Batch) -> Labels:
        return true_answers.widened(labels, batch)

    def _loss(self, batch: Batch, logits: Array, labels: Labels) -> Array | None:
        return token_loss(logits, batch.layout.take(labels["labels"], IGNORED_LABEL)) if labels else None


class MaskedLanguageModel(_TokenModel):
    """An encoder with a distribution over the vocabulary at each token. Abstract."""

    head = Head.MASKED_LM
    lies_as_tokens = ("logits",)

    def _build_head(self, config: Any, kinds: Kinds) -> None:
        self.vocab_transform = linear(config.dim, config.dim, kinds)
        self.activation = activation(config)
        self.vocab_layer_norm = norm(config.dim, config.layer_norm_eps, kinds)
        self.vocab_projector = VocabularyProjector(config, kinds=kinds)

    def get_output_embeddings(self) -> VocabularyProjector:
        return self.vocab_projector

    def token_logits(self, hidden_TD: Array) -> Array:
        """Logits [..., V] of hidden states [..., D]: of those tokens alone that one wants to score."""
        return self.vocab_projector(
            self.before_vocabulary(hidden_TD), self.encoder.embeddings.word_embeddings
        )

    def before_vocabulary(self, hidden_TD: Array) -> Array:
        """What of hidden states [..., D] the projection onto the vocabulary reads, [..., D]."""
        return self.vocab_layer_norm(self.activation(self.vocab_transform(hidden_TD)))

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Array | None = None,
        head_mask: Array | None = None,
        params: Any = None,
        dropout_rng: Any = None,
        train: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        inputs_embeds: Array | None = None,
        labels: Array | None = None,
        position_ids: Array | None = None,
        token_type_ids: Array | None = None,
    ) -> Any:
        """
        Args:
            labels: [B, S], the true ids where they are to be told and ``IGNORED_LABEL`` elsewhere; those at
                padding are not counted.

        The other arguments are the encoder's.

        Returns:
            ``logits`` [B, S, V], zeros at padding, with labels their mean ``loss``, and what was asked for.
            For a packed batch labels and logits lie in its rows, [R, S] and [R, S, V].
        """
        return self._answer(
            (input_ids, attention_mask, inputs_embeds, position_ids, token_type_ids),
            head_mask, params, dropout_rng, train, output_attentions, output_hidden_states, return_dict,
            labels=labels,
        )  # fmt: skip

    def _compute(
        self, batch: Batch, head_mask: Array | None, key: Array | None, labels: Labels,
        *, output_attentions: bool = False, output_hidden_states: bool = False,
    ) -> ModelOutput:  # fmt: skip
        encoded, _ = self._encode(batch, head_mask, key, output_attentions, output_hidden_states)
        logits = self.token_logits(encoded.last_hidden_state)
        loss = self._loss(batch, logits, labels)
        return self._output(MaskedLMOutput, batch, encoded, loss=loss, logits=batch.layout.restore(logits))


class _FirstTokenModel(HeadedModel):
    """An encoder with an answer read off each text's first live token. Abstract."""

    def class_logits(self, first_BD: Array, key: Array | None = None) -> Array:
        """Logits [B, C] from the last hidden state of each text's first live token, [B, D]."""
        raise NotImplementedError

    def _first_logits(self, batch: Batch, encoded: BaseModelOutput, key: Array | None) -> Array:
        first = encoded.last_hidden_state
        if first.ndim == 3:
            first = batch.layout.first(first)
        return self.class_logits(batch.layout.restore_first(first), key)


class SequenceClassifier(_FirstTokenModel):
    """An encoder with one answer for a whole text. Abstract."""

    head = Head.SEQUENCE_CLASSIFICATION

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Array | None = None,
        head_mask: Array | None = None,
        params: Any = None,
        dropout_rng: Any = None,
        train: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        inputs_embeds: Array | None = None,
        labels: Array | None = None,
        position_ids: Array | None = None,
        token_type_ids: Array | None = None,
    ) -> Any:
        """
        Args:
            labels: [B] class ids, [B, C] for classes that may be true together, or [B] numbers for
                a regression; ``config.problem_type`` decides where they leave it open.

        The other arguments are the encoder's.

        Returns:
            ``logits`` [B, C], with labels their mean ``loss``, and what was asked for.
        """
        return self._answer(
            (input_ids, attention_mask, inputs_embeds, position_ids, token_type_ids),
            head_mask, params, dropout_rng, train, output_attentions, output_hidden_states, return_dict,
            labels=labels,
        )  # fmt: skip

    def _check_labels(self, batch: Batch, **given: Any) -> Labels:
        return true_answers.of_texts(batch, given["labels"], self.config)

    def _compute(
        self, batch: Batch, head_mask: Array | None, key: Array | None, labels: Labels,
        *, output_attentions: bool = False, output_hidden_states: bool = False,
    ) -> ModelOutput:  # fmt: skip
        encoded, of_head = self._encode(batch, head_mask, key, output_attentions, output_hidden_states)
        logits = self._first_logits(batch, encoded, of_head)
        loss = classification_loss(logits, labels["labels"], self.config) if labels else None
        return self._output(SequenceClassifierOutput, batch, encoded, loss=loss, logits=logits)


class MultipleChoiceModel(_FirstTokenModel):
    """An encoder with a score for each of several texts, one of which is the right one. Abstract."""

    head = Head.MULTIPLE_CHOICE

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Array | None = None,
        head_mask: Array | None = None,
        params: Any = None,
        dropout_rng: Any = None,
        train: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        inputs_embeds: Array | None = None,
        labels: Array | None = None,
        position_ids: Array | None = None,
        token_type_ids: Array | None = None,
    ) -> Any:
        """
        Args:
            input_ids: [B, choices, S]; the other inputs likewise.
            labels: [B], the number of the right choice.

        The other arguments are the encoder's.

        Returns:
            ``logits`` [B, choices], with labels their mean ``loss``, and what was asked for, whose first
            axis is B * choices. For a packed batch, of whose texts those of one question lie side by side,
            ``logits`` [texts].
        """
        inputs = (input_ids, attention_mask, inputs_embeds, position_ids, token_type_ids)
        choices = None
        if not isinstance(input_ids, PackedBatch | Batch):
            names = ("input_ids", "attention_mask", "inputs_embeds", "position_ids", "token_type_ids")
            refuse_others(**dict(zip(names, inputs, strict=True)))
            choices = _choices(input_ids, inputs_embeds)
            if input_ids is not None:
                check_ids(self.config, input_ids)
            inputs = (
                _flat(input_ids, 2), _flat_mask(attention_mask), _flat(inputs_embeds, 3),
                _flat(position_ids, 2), _flat(token_type_ids, 2),
            )  # fmt: skip
        return self._answer(
            inputs,
            head_mask, params, dropout_rng, train, output_attentions, output_hidden_states, return_dict,
            choices=choices, labels=labels,
        )  # fmt: skip

    def _check_labels(self, batch: Batch, **given: Any) -> Labels:
        return true_answers.of_choices(batch, given["labels"], given["choices"])

    def _compute(
        self, batch: Batch, head_mask: Array | None, key: Array | None, labels: Labels,
        *, output_attentions: bool = False, output_hidden_states: bool = False,
    ) -> ModelOutput:  # fmt: skip
        encoded, of_head = self._encode(batch, head_mask, key, output_attentions, output_hidden_states)
        logits = self._first_logits(batch, encoded, of_head)[:, 0]
        if "questions" in labels:
            logits = logits.reshape(labels["questions"].shape)
        loss = choice_loss(logits, labels["labels"]) if "labels" in labels else None
        return self._output(MultipleChoiceModelOutput, batch, encoded, loss=loss, logits=logits)


class TokenClassifier(_TokenModel):
    """An encoder with one answer for each token. Abstract."""

    head = Head.TOKEN_CLASSIFICATION
    lies_as_tokens = ("logits",)

    def _build_token_head(self, config: EncoderConfig, kinds: Kinds, *, dropout: float) -> None:
        self.dropout = dropout
        self.classifier = linear(config.dim, config.num_labels, kinds)

    def token_logits(self, hidden_TD: Array, key: Array | None = None) -> Array:
        """Logits [..., C] of hidden states [..., D]."""
        return self.classifier(dropped(hidden_TD, self.dropout, key))

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Array | None = None,
        head_mask: Array | None = None,
        params: Any = None,
        dropout_rng: Any = None,
        train: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        inputs_embeds: Array | None = None,
        labels: Array | None = None,
        position_ids: Array | None = None,
        token_type_ids: Array | None = None,
    ) -> Any:
        """
        Args:
            labels: [B, S] class ids, ``IGNORED_LABEL`` where none is to be told; those at padding are not
                counted.

        The other arguments are the encoder's.

        Returns:
            ``logits`` [B, S, C], zeros at padding, with labels their mean ``loss``, and what was asked for.
            For a packed batch labels and logits lie in its rows, [R, S] and [R, S, C].
        """
        return self._answer(
            (input_ids, attention_mask, inputs_embeds, position_ids, token_type_ids),
            head_mask, params, dropout_rng, train, output_attentions, output_hidden_states, return_dict,
            labels=labels,
        )  # fmt: skip

    def _compute(
        self, batch: Batch, head_mask: Array | None, key: Array | None, labels: Labels,
        *, output_attentions: bool = False, output_hidden_states: bool = False,
    ) -> ModelOutput:  # fmt: skip
        encoded, of_head = self._encode(batch, head_mask, key, output_attentions, output_hidden_states)
        logits = self.token_logits(encoded.last_hidden_state, of_head)
        loss = self._loss(batch, logits, labels)
        logits = batch.layout.restore(logits)
        return self._output(TokenClassifierOutput, batch, encoded, loss=loss, logits=logits)


class QuestionAnsweringModel(HeadedModel):
    """An encoder with two scores for each token: of an answer's first and of its last one. Abstract."""

    head = Head.QUESTION_ANSWERING
    lies_as_tokens = ("start_logits", "end_logits")

    def _build_span_head(self, config: EncoderConfig, kinds: Kinds, *, dropout: float) -> None:
        calls.refuse_limits(config)
        self.dropout = dropout
        self.qa_outputs = linear(config.dim, 2, kinds)

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Array | None = None,
        head_mask: Array | None = None,
        params: Any = None,
        dropout_rng: Any = None,
        train: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        inputs_embeds: Array | None = None,
        start_positions: Array | None = None,
        end_positions: Array | None = None,
        position_ids: Array | None = None,
        token_type_ids: Array | None = None,
    ) -> Any:
        """
        Args:
            start_positions: [B], the column of the answer's first token; one past the row, or at padding,
                is not counted.
            end_positions: [B], of its last token.

        The other arguments are the encoder's.

        Returns:
            ``start_logits`` and ``end_logits`` [B, S], the lowest number there is at padding; with both
            positions their mean ``loss``, and what was asked for. For a packed batch the logits lie in its
            rows, [R, S], and positions count from each text's first token, [texts].
        """
        return self._answer(
            (input_ids, attention_mask, inputs_embeds, position_ids, token_type_ids),
            head_mask, params, dropout_rng, train, output_attentions, output_hidden_states, return_dict,
            start_positions=start_positions, end_positions=end_positions,
        )  # fmt: skip

    def _check_labels(self, batch: Batch, **given: Any) -> Labels:
        return true_answers.of_limits(batch, **given)

    def _compute(
        self, batch: Batch, head_mask: Array | None, key: Array | None, labels: Labels,
        *, output_attentions: bool = False, output_hidden_states: bool = False,
    ) -> ModelOutput:  # fmt: skip
        encoded, of_head = self._encode(batch, head_mask, key, output_attentions, output_hidden_states)
        logits = self.qa_outputs(dropped(encoded.last_hidden_state, self.dropout, of_head))
        lowest = float(jnp.finfo(logits.dtype).min)
        start_logits, end_logits = (batch.layout.restore(logits[..., i], lowest) for i in (0, 1))
        loss = None
        if labels:
            rows = [start_logits, end_logits]
            if isinstance(batch.layout, Packed):
                rows = [batch.layout.in_rows(part, lowest) for part in rows]
            loss = span_loss(rows[0], rows[1], labels["start_positions"], labels["end_positions"])
        return self._output(
            QuestionAnsweringModelOutput, batch, encoded,
            loss=loss, start_logits=start_logits, end_logits=end_logits,
        )  # fmt: skip


def _choices(input_ids: Array | None, inputs_embeds: Array | None) -> int:
    given = input_ids if input_ids is not None else inputs_embeds
    calls.refuse_choices(None if given is None else given.shape, axes=3 if input_ids is not None else 4)
    return 1 if given is None else given.shape[1]


def _flat(x: Array | None, axes: int) -> Array | None:
    """[B, choices, ...] as [B * choices, ...]."""
    if x is None or x.ndim <= axes:
        return x
    if not isinstance(x, np.ndarray | jax.core.Tracer) and axes == 2:
        x = np.asarray(x)  # of ids, so that no graph is made of each shape
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _flat_mask(mask: Array | None) -> Array | None:
    """A mask [B, choices, S], or [B, choices, 1 or N, S, S] of pairs of tokens, which may be flat already."""
    return mask if mask is not None and mask.ndim == 4 else _flat(mask, 2)
