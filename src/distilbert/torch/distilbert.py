"""DistilBERT: the encoder, and it with each of five heads (Sanh et al. 2019)."""

from typing import Any

import torch
from torch import Tensor, nn

from distilbert.core.config import DistilBertConfig
from distilbert.torch.embeddings import Embeddings
from distilbert.torch.encoder import Encoder, Transformer
from distilbert.torch.headed import HeadedModel
from distilbert.torch.heads import (
    MaskedLanguageModel,
    MultipleChoiceModel,
    QuestionAnsweringModel,
    SequenceClassifier,
    TokenClassifier,
)


class DistilBertModel(Encoder):
    """The encoder without a head.

    Args:
        config: its sizes. ``config.attn_implementation`` is "sdpa" (default), "eager", "flex_attention" or
            "flash_attention_2".

    Raises:
        ConfigError: sizes that do not go together.
    """

    config_class = DistilBertConfig
    base_model_prefix = DistilBertConfig.model_type

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.transformer = Transformer(config)
        self.initialise()


class _OnDistilBert(HeadedModel):
    config_class = DistilBertConfig
    encoder_class = DistilBertModel
    base_model_prefix = DistilBertConfig.model_type
    distilbert: DistilBertModel


class _OverFirstToken(_OnDistilBert):
    """Linear, ReLU, dropout, linear, over the first token's state."""

    def _build_head(self, config: Any) -> None:
        self.pre_classifier = nn.Linear(config.dim, config.dim)
        self.classifier = nn.Linear(config.dim, self._outputs(config))
        self.dropout = nn.Dropout(config.seq_classif_dropout)

    def class_logits(self, first_BD: Tensor) -> Tensor:
        return self.classifier(self.dropout(torch.relu(self.pre_classifier(first_BD))))


class DistilBertForMaskedLM(_OnDistilBert, MaskedLanguageModel):
    """DistilBERT with its masked-language-model head, tied to the word embeddings."""


class DistilBertForSequenceClassification(_OverFirstToken, SequenceClassifier):
    """DistilBERT with a classifier of whole texts: linear, ReLU, dropout, linear over the first token."""


class DistilBertForMultipleChoice(_OverFirstToken, MultipleChoiceModel):
    """DistilBERT with a score for each of several texts, the greatest being the choice."""


class DistilBertForTokenClassification(_OnDistilBert, TokenClassifier):
    """DistilBERT with a classifier of each token: dropout, linear."""

    def _build_head(self, config: Any) -> None:
        self._build_token_head(config, dropout=config.dropout)


class DistilBertForQuestionAnswering(_OnDistilBert, QuestionAnsweringModel):
    """DistilBERT with two scores for each token: that the answer begins there, and that it ends there."""

    def _build_head(self, config: Any) -> None:
        self._build_span_head(config, dropout=config.qa_dropout)
