"""The encoder with something to answer: a masked language model, and a classifier of whole texts."""

from typing import Any

import torch
from torch import Tensor, nn

from distilbert.core.config import DistilBertConfig, EncoderConfig
from distilbert.core.outputs import BaseModelOutput, MaskedLMOutput, SequenceClassifierOutput
from distilbert.core.parameters import Head
from distilbert.torch.encoder import DistilBertModel, activation, chosen
from distilbert.torch.losses import classification_loss, token_loss
from distilbert.torch.pretrained import PreTrainedModel


class MaskedLanguageModel(PreTrainedModel):
    """An encoder with a distribution over the vocabulary at each token. Abstract.

    A final class builds its encoder, calls ``_build_head``, and names the encoder in ``encoder``.
    """

    head = Head.MASKED_LM

    def _build_head(self, config: EncoderConfig) -> None:
        self.vocab_transform = nn.Linear(config.dim, config.dim)
        self.activation = activation(config)
        self.vocab_layer_norm = nn.LayerNorm(config.dim, eps=config.layer_norm_eps)
        self.vocab_projector = nn.Linear(config.dim, config.vocab_size)
        self.tie_weights()
        self.initialise()

    @property
    def encoder(self) -> Any:
        raise NotImplementedError

    def tie_weights(self) -> None:
        if self.config.tie_word_embeddings:
            self.vocab_projector.weight = self.encoder.embeddings.word_embeddings.weight

    def token_logits(self, hidden_TD: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., D]: of those tokens alone that one wants to score."""
        x_TD = self.vocab_layer_norm(self.activation(self.vocab_transform(hidden_TD)))
        return self.vocab_projector(x_TD)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """
        Args:
            labels: [B, S], the true ids where they are to be told and ``IGNORED_LABEL`` elsewhere.

        The other arguments are the encoder's.

        Returns:
            ``logits`` [B, S, V], with labels their mean ``loss``, and what was asked for.
        """
        encoded: BaseModelOutput = self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            head_mask=head_mask,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        logits_BSV = self.token_logits(encoded.last_hidden_state)
        output = MaskedLMOutput(
            loss=None if labels is None else token_loss(logits_BSV, labels),
            logits=logits_BSV,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )
        return output if chosen(return_dict, self.config.return_dict) else output.to_tuple()


class SequenceClassifier(PreTrainedModel):
    """An encoder with one answer for a whole text. Abstract.

    A final class builds its encoder and head, names the encoder in ``encoder``, and turns the state of
    the first live token into logits in ``class_logits``.
    """

    head = Head.SEQUENCE_CLASSIFICATION

    @property
    def encoder(self) -> Any:
        raise NotImplementedError

    def class_logits(self, first_BD: Tensor) -> Tensor:
        """Logits [B, C] from the last hidden state of each text's first live token, [B, D]."""
        raise NotImplementedError

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """
        Args:
            labels: [B] class ids, [B, C] for classes that may be true together, or [B] numbers for
                a regression; ``config.problem_type`` decides where they leave it open.

        The other arguments are the encoder's.

        Returns:
            ``logits`` [B, C], with labels their mean ``loss``, and what was asked for.
        """
        encoded: BaseModelOutput = self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            head_mask=head_mask,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        logits_BC = self.class_logits(first_live(encoded.last_hidden_state, attention_mask))
        output = SequenceClassifierOutput(
            loss=None if labels is None else classification_loss(logits_BC, labels, self.config),
            logits=logits_BC,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )
        return output if chosen(return_dict, self.config.return_dict) else output.to_tuple()


def first_live(hidden_BSD: Tensor, attention_mask: Tensor | None) -> Tensor:
    """The state of each row's first live token, [B, D]; under left padding that is not column 0."""
    if attention_mask is None:
        return hidden_BSD[:, 0]
    columns_B = (attention_mask != 0).int().argmax(dim=1)
    return hidden_BSD[torch.arange(len(hidden_BSD), device=hidden_BSD.device), columns_B]


class DistilBertForMaskedLM(MaskedLanguageModel):
    """DistilBERT with its masked-language-model head, tied to the word embeddings."""

    config_class = DistilBertConfig

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.distilbert = DistilBertModel(config)
        self._build_head(config)

    @property
    def encoder(self) -> DistilBertModel:
        return self.distilbert


class DistilBertForSequenceClassification(SequenceClassifier):
    """DistilBERT with a classifier over the first token: linear, ReLU, dropout, linear."""

    config_class = DistilBertConfig

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.distilbert = DistilBertModel(config)
        self.pre_classifier = nn.Linear(config.dim, config.dim)
        self.dropout = nn.Dropout(config.seq_classif_dropout)
        self.classifier = nn.Linear(config.dim, config.num_labels)
        self.initialise()

    @property
    def encoder(self) -> DistilBertModel:
        return self.distilbert

    def class_logits(self, first_BD: Tensor) -> Tensor:
        x_BD = self.dropout(torch.relu(self.pre_classifier(first_BD)))
        return self.classifier(x_BD)
