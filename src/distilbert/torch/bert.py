"""BERT, as a teacher: DistilBERT's blocks with token types and a pooler, from published BERT folders.

It has the same five heads (Devlin et al. 2019, section 4); those that read one token read the pooler's.
"""

from typing import Any

import torch
from torch import Tensor, nn

from distilbert.core.config import BertConfig
from distilbert.core.parameters import Parameter
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


class Pooler(nn.Module):
    """A linear map and a tanh over the first token."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.dim, config.dim)

    def forward(self, first_BD: Tensor) -> Tensor:
        return torch.tanh(self.dense(first_BD))


class BertModel(Encoder):
    """The encoder without a head.

    Args:
        config: its sizes.
        pooled: with the pooler, which some heads do not read.

    Raises:
        ConfigError: sizes that do not go together.
    """

    config_class = BertConfig
    base_model_prefix = BertConfig.model_type

    def __init__(self, config: BertConfig, *, pooled: bool = True) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config, type_vocab_size=config.type_vocab_size)
        self.transformer = Transformer(config, attended_dropout=config.dropout)
        if pooled:
            self.pooler = Pooler(config)
        self.initialise()

    @property
    def manifest(self) -> tuple[Parameter, ...]:
        names = {name for name, _ in self.named_parameters()}
        return tuple(parameter for parameter in super().manifest if parameter.key in names)


class _OnBert(HeadedModel):
    config_class = BertConfig
    base_model_prefix = BertConfig.model_type
    bert: BertModel

    @classmethod
    def encoder_class(cls, config: BertConfig) -> BertModel:
        return BertModel(config, pooled=cls.head.reads_one_token)


class _OverPooler(_OnBert):
    """Dropout and linear over the pooler."""

    def _build_head(self, config: Any) -> None:
        self.dropout = nn.Dropout(_head_dropout(config))
        self.classifier = nn.Linear(config.dim, self._outputs(config))

    def class_logits(self, first_BD: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.bert.pooler(first_BD)))


class BertForMaskedLM(_OnBert, MaskedLanguageModel):
    """BERT with its masked-language-model head, tied to the word embeddings."""


class BertForSequenceClassification(_OverPooler, SequenceClassifier):
    """BERT with a classifier of whole texts."""


class BertForMultipleChoice(_OverPooler, MultipleChoiceModel):
    """BERT with a score for each of several texts, the greatest being the choice."""


class BertForTokenClassification(_OnBert, TokenClassifier):
    """BERT with a classifier of each token."""

    def _build_head(self, config: Any) -> None:
        self._build_token_head(config, dropout=_head_dropout(config))


class BertForQuestionAnswering(_OnBert, QuestionAnsweringModel):
    """BERT with two scores for each token: that the answer begins there, and that it ends there."""

    def _build_head(self, config: Any) -> None:
        self._build_span_head(config, dropout=0.0)


def _head_dropout(config: BertConfig) -> float:
    return config.dropout if config.classifier_dropout is None else config.classifier_dropout
