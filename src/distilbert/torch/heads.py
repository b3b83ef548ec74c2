"""The encoder with something to answer: five heads, each on whichever encoder.

All heads read the encoder's states as they lie, so no head works on padding either; logits at padding are
zeros, and of an answer's limits the lowest number there is.
"""

from typing import Any

import torch
from torch import Tensor, nn

from distilbert.core import calls
from distilbert.core.config import EncoderConfig
from distilbert.core.data.packing import PackedBatch
from distilbert.core.outputs import (
    BaseModelOutput,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from distilbert.core.parameters import Head
from distilbert.torch.batch import Batch, check_ids, has_values, refuse_others
from distilbert.torch.encoder import activation
from distilbert.torch.headed import HeadedModel, labels_of
from distilbert.torch.losses import choice_loss, classification_loss, span_loss, token_loss
from distilbert.torch.recording import sizes


class MaskedLanguageModel(HeadedModel):
    """An encoder with a distribution over the vocabulary at each token. Abstract."""

    head = Head.MASKED_LM

    def _build_head(self, config: Any) -> None:
        self.vocab_transform = nn.Linear(config.dim, config.dim)
        self.activation = activation(config)
        self.vocab_layer_norm = nn.LayerNorm(config.dim, eps=config.layer_norm_eps)
        self.vocab_projector = nn.Linear(config.dim, config.vocab_size)

    def tie_weights(self) -> None:
        table = self.get_input_embeddings()
        # What wraps a table, as adapters do, has the weight of whichever copy is active: not what was tied.
        plain = "weight" in table._parameters and "weight" in self.vocab_projector._parameters
        if self.config.tie_word_embeddings and plain:
            self.vocab_projector.weight = table.weight

    def get_output_embeddings(self) -> nn.Linear:
        return self.vocab_projector

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Put another projection in its place; of a tied model its weight is the table of words.

        Raises:
            ConfigError: another size.
        """
        self._refuse_size(new_embeddings)
        self.vocab_projector = new_embeddings
        self.tie_weights()

    def token_logits(self, hidden_TD: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., D]: of those tokens alone that one wants to score."""
        return self.vocab_projector(self.before_vocabulary(hidden_TD))

    def before_vocabulary(self, hidden_TD: Tensor) -> Tensor:
        """What of hidden states [..., D] the projection onto the vocabulary reads, [..., D]."""
        return self.vocab_layer_norm(self.activation(self.vocab_transform(hidden_TD)))

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Any:
        """
        Args:
            labels: [B, S], the true ids where they are to be told and ``IGNORED_LABEL`` elsewhere; those at
                padding are not counted.

        The other arguments are the encoder's.

        Returns:
            ``logits`` [B, S, V], zeros at padding, with labels their mean ``loss``, and what was asked for.
            For a packed batch labels and logits lie end to end, [T] and [T, V].
        """
        batch, encoded = self._encode(
            input_ids, attention_mask, head_mask, inputs_embeds, position_ids, token_type_ids,
            output_attentions, output_hidden_states,
        )  # fmt: skip
        layout, hidden = batch.layout, encoded.last_hidden_state
        loss = None
        if labels is None:
            logits = layout.restore_through(self.token_logits, hidden, self.config.vocab_size)
        else:
            lying = self.token_logits(hidden)
            loss = token_loss(lying, labels_of(batch, labels, input_ids))
            logits = layout.restore(lying)
        return self._output(MaskedLMOutput, batch, encoded, return_dict, loss=loss, logits=logits)


class _FirstTokenModel(HeadedModel):
    """An encoder with an answer read off each text's first live token. Abstract."""

    def class_logits(self, first_BD: Tensor) -> Tensor:
        """Logits [B, C] from the last hidden state of each text's first live token, [B, D]."""
        raise NotImplementedError

    def _first_logits(self, batch: Batch, encoded: BaseModelOutput) -> Tensor:
        first = encoded.last_hidden_state
        if not batch.first_only:
            first = batch.layout.first(first)
        return self.class_logits(batch.layout.restore_first(first))


class SequenceClassifier(_FirstTokenModel):
    """An encoder with one answer for a whole text. Abstract."""

    head = Head.SEQUENCE_CLASSIFICATION

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Any:
        """
        Args:
            labels: [B] class ids, [B, C] for classes that may be true together, or [B] numbers for
                a regression; ``config.problem_type`` decides where they leave it open.

        The other arguments are the encoder's.

        Returns:
            ``logits`` [B, C], with labels their mean ``loss``, and what was asked for.
        """
        batch, encoded = self._encode(
            input_ids, attention_mask, head_mask, inputs_embeds, position_ids, token_type_ids,
            output_attentions, output_hidden_states,
        )  # fmt: skip
        logits = self._first_logits(batch, encoded)
        loss = None if labels is None else classification_loss(logits, labels, self.config)
        return self._output(SequenceClassifierOutput, batch, encoded, return_dict, loss=loss, logits=logits)


class MultipleChoiceModel(_FirstTokenModel):
    """An encoder with a score for each of several texts, one of which is the right one. Abstract."""

    head = Head.MULTIPLE_CHOICE

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
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
        choices = None
        if not isinstance(input_ids, PackedBatch):
            refuse_others(
                input_ids=input_ids,
                attention_mask=attention_mask,
                inputs_embeds=inputs_embeds,
                position_ids=position_ids,
                token_type_ids=token_type_ids,
            )
            given = input_ids if input_ids is not None else inputs_embeds
            choices = _choices(given, axes=3 if input_ids is not None else 4)
            if input_ids is not None and has_values(input_ids):
                check_ids(self.config, input_ids)
        batch, encoded = self._encode(
            _flat(input_ids, 2), _flat_mask(attention_mask), head_mask, _flat(inputs_embeds, 3),
            _flat(position_ids, 2), _flat(token_type_ids, 2), output_attentions, output_hidden_states,
        )  # fmt: skip
        logits = self._first_logits(batch, encoded).flatten()
        logits = logits if choices is None else logits.unflatten(0, (-1, choices))
        loss = None if labels is None else choice_loss(logits, labels)
        return self._output(MultipleChoiceModelOutput, batch, encoded, return_dict, loss=loss, logits=logits)


class TokenClassifier(HeadedModel):
    """An encoder with one answer for each token. Abstract."""

    head = Head.TOKEN_CLASSIFICATION

    def _build_token_head(self, config: EncoderConfig, *, dropout: float) -> None:
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(config.dim, config.num_labels)

    def token_logits(self, hidden_TD: Tensor) -> Tensor:
        """Logits [..., C] of hidden states [..., D]."""
        return self.classifier(self.dropout(hidden_TD))

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Any:
        """
        Args:
            labels: [B, S] class ids, ``IGNORED_LABEL`` where none is to be told; those at padding are not
                counted.

        The other arguments are the encoder's.

        Returns:
            ``logits`` [B, S, C], zeros at padding, with labels their mean ``loss``, and what was asked for.
            For a packed batch labels and logits lie end to end, [T] and [T, C].
        """
        batch, encoded = self._encode(
            input_ids, attention_mask, head_mask, inputs_embeds, position_ids, token_type_ids,
            output_attentions, output_hidden_states,
        )  # fmt: skip
        lying = self.token_logits(encoded.last_hidden_state)
        loss = None if labels is None else token_loss(lying, labels_of(batch, labels, input_ids))
        logits = batch.layout.restore(lying)
        return self._output(TokenClassifierOutput, batch, encoded, return_dict, loss=loss, logits=logits)


class QuestionAnsweringModel(HeadedModel):
    """An encoder with two scores for each token: of an answer's first and of its last one. Abstract."""

    head = Head.QUESTION_ANSWERING

    def __init__(self, config: EncoderConfig) -> None:
        calls.refuse_limits(config)
        super().__init__(config)

    def _build_span_head(self, config: EncoderConfig, *, dropout: float) -> None:
        self.dropout = nn.Dropout(dropout)
        self.qa_outputs = nn.Linear(config.dim, 2)

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
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
            positions their mean ``loss``, and what was asked for. For a packed batch the logits lie end to
            end, [T], and positions count from each text's first token.
        """
        batch, encoded = self._encode(
            input_ids, attention_mask, head_mask, inputs_embeds, position_ids, token_type_ids,
            output_attentions, output_hidden_states,
        )  # fmt: skip
        lying = self.qa_outputs(self.dropout(encoded.last_hidden_state))
        logits = batch.layout.restore(lying, torch.finfo(lying.dtype).min)
        start_logits, end_logits = (part.contiguous() for part in logits.unbind(-1))
        loss = None
        if start_positions is not None and end_positions is not None:
            rows = [start_logits, end_logits]
            if isinstance(input_ids, PackedBatch):
                rows = [_in_rows(part, input_ids.lengths) for part in rows]
            loss = span_loss(rows[0], rows[1], start_positions, end_positions)
        return self._output(
            QuestionAnsweringModelOutput, batch, encoded, return_dict,
            loss=loss, start_logits=start_logits, end_logits=end_logits,
        )  # fmt: skip


def _choices(given: Tensor | None, *, axes: int) -> int:
    shape = None if given is None else sizes(given)
    calls.refuse_choices(shape, axes=axes)
    return 1 if shape is None else shape[1]


def _flat(x: Any, axes: int) -> Any:
    """[B, choices, ...] as [B * choices, ...]."""
    return x.flatten(0, 1) if isinstance(x, Tensor) and x.dim() > axes else x


def _flat_mask(mask: Any) -> Any:
    """A mask [B, choices, S], or [B, choices, 1 or N, S, S] of pairs of tokens, which may be flat already."""
    return mask if isinstance(mask, Tensor) and mask.dim() == 4 else _flat(mask, 2)


def _in_rows(logits_T: Tensor, lengths: list[int]) -> Tensor:
    lowest = torch.finfo(logits_T.dtype).min
    return nn.utils.rnn.pad_sequence(list(logits_T.split(lengths)), batch_first=True, padding_value=lowest)
