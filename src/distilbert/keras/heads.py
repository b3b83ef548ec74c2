"""The encoder with something to answer: five heads, each on whichever encoder.

Logits at padding are zeros, and of an answer's limits the lowest number there is.
"""

from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
from keras import ops

from distilbert.core import calls
from distilbert.core.config import IGNORED_LABEL, EncoderConfig
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
from distilbert.keras import true_answers
from distilbert.keras.batch import INPUTS, Batch, check_ids, refuse_others
from distilbert.keras.calling import Given
from distilbert.keras.encoder import activation
from distilbert.keras.headed import HeadedModel
from distilbert.keras.losses import choice_loss, classification_loss, span_loss, token_loss
from distilbert.keras.modules import Policy, Tensor, dropped, linear, norm
from distilbert.keras.recording import kind, shape_of
from distilbert.keras.vocabulary import VocabularyProjector


class _LabelledModel(HeadedModel):
    """An encoder with logits that one kind of labels is of. Abstract."""

    labels = {"labels": "logits"}  # noqa: RUF012  # Keras would keep account of another kind of mapping

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        labels: Tensor | None = None,
        training: bool | None = None,
        *,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Any:
        """
        Args:
            labels: as the class says.

        The other arguments are the encoder's.

        Returns:
            ``logits`` as the class says, with labels their mean ``loss``, and what was asked for.
        """
        return self._answer(
            input_ids, training, attention_mask=attention_mask, head_mask=head_mask,
            inputs_embeds=inputs_embeds, output_attentions=output_attentions,
            output_hidden_states=output_hidden_states, return_dict=return_dict, labels=labels,
            position_ids=position_ids, token_type_ids=token_type_ids,
        )  # fmt: skip


class _TokenModel(_LabelledModel):
    """An encoder with logits for each token. Abstract."""

    def _check_labels(self, given: Given, shape: tuple[Any, ...]) -> None:
        if "labels" in given:
            classes = self.config.vocab_size if self.head is Head.MASKED_LM else self.config.num_labels
            true_answers.of_tokens(given["labels"], shape, classes=classes)

    def cost(self, results: Any, batch: Batch, told: Given) -> Tensor:
        labels = ops.convert_to_tensor(told["labels"])
        return token_loss(results["logits"], batch.layout.take(labels, IGNORED_LABEL))


class MaskedLanguageModel(_TokenModel):
    """An encoder with a distribution over the vocabulary at each token: logits [B, S, V]. Abstract.

    Labels [B, S] are the true ids where they are to be told and ``IGNORED_LABEL`` elsewhere; those at padding
    are not counted.
    """

    head = Head.MASKED_LM
    output_class = MaskedLMOutput

    def _make_head(self, config: Any, policy: Policy) -> None:
        self.vocab_transform = linear(config.dim, config.dim, policy)
        self.activation = activation(config)
        self.vocab_layer_norm = norm(config.dim, config.layer_norm_eps, policy)
        self.vocab_projector = VocabularyProjector(config, policy=policy)

    def get_output_embeddings(self) -> VocabularyProjector:
        return self.vocab_projector

    def token_logits(self, hidden_TD: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., D]: of those tokens alone that one wants to score."""
        words = self.encoder.embeddings.word_embeddings
        return self.vocab_projector(self.before_vocabulary(hidden_TD), words=words)

    def before_vocabulary(self, hidden_TD: Tensor) -> Tensor:
        """What of hidden states [..., D] the projection onto the vocabulary reads, [..., D]."""
        return self.vocab_layer_norm(self.activation(self.vocab_transform(hidden_TD)))

    def _compute(
        self, batch: Batch, head_mask: Tensor | None, key: Tensor | None, labels: Given,
        *, output_attentions: bool = False, output_hidden_states: bool = False,
    ) -> ModelOutput:  # fmt: skip
        encoded, _ = self._encode(batch, head_mask, key, output_attentions, output_hidden_states)
        logits = batch.layout.restore(self.token_logits(encoded.last_hidden_state))
        return self._output(batch, encoded, labels, logits=logits)


class _FirstTokenModel(_LabelledModel):
    """An encoder with an answer read off each text's first live token. Abstract."""

    def class_logits(self, first_BD: Tensor, key: Tensor | None = None) -> Tensor:
        """Logits [B, C] from the last hidden state of each text's first live token, [B, D]."""
        raise NotImplementedError

    def _first_logits(self, batch: Batch, encoded: BaseModelOutput, key: Tensor | None) -> Tensor:
        first = encoded.last_hidden_state
        if len(first.shape) == 3:
            first = batch.layout.first(first)
        return self.class_logits(batch.layout.restore_first(first), key)


class SequenceClassifier(_FirstTokenModel):
    """An encoder with one answer for a whole text: logits [B, C]. Abstract.

    Labels are [B] class ids, [B, C] for classes that may be true together, or [B] numbers for a regression;
    ``config.problem_type`` decides where they leave it open.
    """

    head = Head.SEQUENCE_CLASSIFICATION
    output_class = SequenceClassifierOutput

    def _check_labels(self, given: Given, shape: tuple[Any, ...]) -> None:
        if "labels" in given:
            true_answers.check_classes(given["labels"], (shape[0], self.config.num_labels), self.config)

    def _compute(
        self, batch: Batch, head_mask: Tensor | None, key: Tensor | None, labels: Given,
        *, output_attentions: bool = False, output_hidden_states: bool = False,
    ) -> ModelOutput:  # fmt: skip
        encoded, of_head = self._encode(batch, head_mask, key, output_attentions, output_hidden_states)
        return self._output(batch, encoded, labels, logits=self._first_logits(batch, encoded, of_head))

    def cost(self, results: Any, batch: Batch, told: Given) -> Tensor:
        return classification_loss(results["logits"], told["labels"], self.config)


class MultipleChoiceModel(_FirstTokenModel):
    """An encoder with a score for each of several texts, one of which is the right one. Abstract.

    Inputs are [B, choices, S], logits [B, choices], labels [B] the number of the right choice. What else is
    asked for has B * choices in its first axis.
    """

    head = Head.MULTIPLE_CHOICE
    output_class = MultipleChoiceModelOutput

    def _check(self, given: Given) -> None:
        refuse_others(**{name: given.get(name) for name in INPUTS})
        shape = _choices(given)
        if "input_ids" in given:
            check_ids(self.config, given["input_ids"])
        super()._check(_flat(given))
        if "labels" in given:
            true_answers.of_choices(given["labels"], shape)

    def _batch(self, given: Given, *, first_only: bool = False) -> Batch:
        tokens = given["input_ids"] if "input_ids" in given else given["inputs_embeds"]
        batch = super()._batch(_flat(given), first_only=first_only)
        return replace(batch, choices=ops.shape(tokens)[1])

    def _compute(
        self, batch: Batch, head_mask: Tensor | None, key: Tensor | None, labels: Given,
        *, output_attentions: bool = False, output_hidden_states: bool = False,
    ) -> ModelOutput:  # fmt: skip
        encoded, of_head = self._encode(batch, head_mask, key, output_attentions, output_hidden_states)
        logits = ops.reshape(self._first_logits(batch, encoded, of_head), (-1, batch.choices))
        return self._output(batch, encoded, labels, logits=logits)

    def cost(self, results: Any, batch: Batch, told: Given) -> Tensor:
        return choice_loss(results["logits"], told["labels"])


class TokenClassifier(_TokenModel):
    """An encoder with one answer for each token: logits [B, S, C]. Abstract.

    Labels [B, S] are class ids, ``IGNORED_LABEL`` where none is to be told; those at padding are not counted.
    """

    head = Head.TOKEN_CLASSIFICATION
    output_class = TokenClassifierOutput

    def _make_token_head(self, config: EncoderConfig, policy: Policy, *, dropout: float) -> None:
        self.dropout = dropout
        self.classifier = linear(config.dim, config.num_labels, policy)

    def token_logits(self, hidden_TD: Tensor, key: Tensor | None = None) -> Tensor:
        """Logits [..., C] of hidden states [..., D]."""
        return self.classifier(dropped(hidden_TD, self.dropout, key))

    def _compute(
        self, batch: Batch, head_mask: Tensor | None, key: Tensor | None, labels: Given,
        *, output_attentions: bool = False, output_hidden_states: bool = False,
    ) -> ModelOutput:  # fmt: skip
        encoded, of_head = self._encode(batch, head_mask, key, output_attentions, output_hidden_states)
        logits = batch.layout.restore(self.token_logits(encoded.last_hidden_state, of_head))
        return self._output(batch, encoded, labels, logits=logits)


class QuestionAnsweringModel(HeadedModel):
    """An encoder with two scores for each token: of an answer's first and of its last one. Abstract."""

    head = Head.QUESTION_ANSWERING
    output_class = QuestionAnsweringModelOutput
    labels = {"start_positions": "start_logits", "end_positions": "end_logits"}  # noqa: RUF012  # as above

    def _make_span_head(self, config: EncoderConfig, policy: Policy, *, dropout: float) -> None:
        calls.refuse_limits(config)
        self.dropout = dropout
        self.qa_outputs = linear(config.dim, 2, policy)

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        training: bool | None = None,
        *,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Any:
        """
        Args:
            start_positions: [B], the column of the answer's first token; one past the row, or at padding,
                is not counted.
            end_positions: [B], of its last token.

        The other arguments are the encoder's.

        Returns:
            ``start_logits`` and ``end_logits`` [B, S], the lowest number there is at padding; with both
            positions their mean ``loss``, and what was asked for.
        """
        return self._answer(
            input_ids, training, attention_mask=attention_mask, head_mask=head_mask,
            inputs_embeds=inputs_embeds, output_attentions=output_attentions,
            output_hidden_states=output_hidden_states, return_dict=return_dict,
            start_positions=start_positions, end_positions=end_positions, position_ids=position_ids,
            token_type_ids=token_type_ids,
        )  # fmt: skip

    def _check_labels(self, given: Given, shape: tuple[Any, ...]) -> None:
        for name in self.labels:
            if name in given:
                true_answers.check_limits(name, given[name], shape[0])

    def _compute(
        self, batch: Batch, head_mask: Tensor | None, key: Tensor | None, labels: Given,
        *, output_attentions: bool = False, output_hidden_states: bool = False,
    ) -> ModelOutput:  # fmt: skip
        encoded, of_head = self._encode(batch, head_mask, key, output_attentions, output_hidden_states)
        logits = self.qa_outputs(dropped(encoded.last_hidden_state, self.dropout, of_head))
        lowest = float(ml_dtypes.finfo(kind(logits)).min)
        start_logits, end_logits = (batch.layout.restore(logits[..., i], lowest) for i in (0, 1))
        return self._output(batch, encoded, labels, start_logits=start_logits, end_logits=end_logits)

    def cost(self, results: Any, batch: Batch, told: Given) -> Tensor:
        given = {name: ops.convert_to_tensor(x) for name, x in told.items()}
        return span_loss(results["start_logits"], results["end_logits"], **given)


def _choices(given: Given) -> tuple[Any, ...]:
    """[B, choices] of a batch, once it is seen to have questions with choices."""
    tokens = given.get("input_ids", given.get("inputs_embeds"))
    shape = None if tokens is None else shape_of(tokens)
    calls.refuse_choices(shape, axes=3 if "input_ids" in given else 4)
    return (1, 1) if shape is None else shape[:2]


def _flat(given: Given) -> Given:
    """A call's arguments with the choices of all questions one after the other, and without labels."""
    flat = {name: x for name, x in given.items() if name != "labels"}
    for name in INPUTS:
        # A mask [B, choices, S], or [B * choices, 1 or N, S, S] of pairs of tokens, which is flat already.
        axes = 3 if name == "inputs_embeds" else 2
        x = given.get(name)
        if x is not None and len(x.shape) > axes and not (name == "attention_mask" and len(x.shape) == 4):
            flat[name] = (
                x.reshape(-1, *x.shape[2:])
                if isinstance(x, np.ndarray)
                else ops.reshape(x, (-1, *ops.shape(x)[2:]))
            )
    return flat
