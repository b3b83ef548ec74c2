"""BERT, as a teacher: DistilBERT's blocks with token types and a pooler, from published BERT folders.

It has the same five heads (Devlin et al. 2019, section 4); those that read one token read the pooler's.
"""

from typing import Any

import keras
from keras import ops

from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.core.parameters import Parameter, is_encoder
from distilbert.keras.distilbert import PACKAGE
from distilbert.keras.embeddings import Embeddings
from distilbert.keras.encoder import Encoder, Transformer
from distilbert.keras.headed import HeadedModel
from distilbert.keras.heads import (
    MaskedLanguageModel,
    MultipleChoiceModel,
    QuestionAnsweringModel,
    SequenceClassifier,
    TokenClassifier,
)
from distilbert.keras.modules import Composed, Policy, Tensor, dropped, linear


class Pooler(Composed, keras.layers.Layer):
    """A linear map and a tanh over the first token."""

    def __init__(self, config: BertConfig, *, policy: Policy) -> None:
        super().__init__(dtype=policy)
        self.dense = linear(config.dim, config.dim, policy)

    def call(self, first_BD: Tensor) -> Tensor:
        return ops.tanh(self.dense(first_BD))


@keras.saving.register_keras_serializable(PACKAGE)
class BertModel(Encoder):
    """The encoder without a head.

    Args:
        config: its sizes.
        pooled: with the pooler, which some heads do not read.

    The other arguments are those of ``PreTrainedModel``.

    Raises:
        ConfigError: sizes that do not go together.
    """

    config_class = BertConfig
    base_model_prefix = BertConfig.model_type

    def __init__(self, config: EncoderConfig, *, pooled: bool = True, **settings: Any) -> None:
        self.pooled = pooled
        super().__init__(config, **settings)

    def _make(self, config: Any, policy: Policy) -> None:
        self.embeddings = Embeddings(config, policy=policy, type_vocab_size=config.type_vocab_size)
        self.transformer = Transformer(config, policy=policy, attended_dropout=config.dropout)
        if self.pooled:
            self.pooler = Pooler(config, policy=policy)

    @property
    def manifest(self) -> tuple[Parameter, ...]:
        return tuple(p for p in super().manifest if self.pooled or is_encoder(p.key, self.config))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pooled": self.pooled}


class _OnBert(HeadedModel):
    config_class = BertConfig
    base_model_prefix = BertConfig.model_type
    bert: BertModel

    @classmethod
    def encoder_class(cls, config: EncoderConfig, **settings: Any) -> BertModel:
        return BertModel(config, pooled=cls.head.reads_one_token, **settings)


class _OverPooler(_OnBert):
    """Dropout and linear over the pooler."""

    def _make_head(self, config: Any, policy: Policy) -> None:
        self.dropout = _head_dropout(config)
        self.classifier = linear(config.dim, self._outputs(config), policy)

    def class_logits(self, first_BD: Tensor, key: Tensor | None = None) -> Tensor:
        return self.classifier(dropped(self.bert.pooler(first_BD), self.dropout, key))


@keras.saving.register_keras_serializable(PACKAGE)
class BertForMaskedLM(_OnBert, MaskedLanguageModel):
    """BERT with its masked-language-model head, tied to the word embeddings."""


@keras.saving.register_keras_serializable(PACKAGE)
class BertForSequenceClassification(_OverPooler, SequenceClassifier):
    """BERT with a classifier of whole texts."""


@keras.saving.register_keras_serializable(PACKAGE)
class BertForMultipleChoice(_OverPooler, MultipleChoiceModel):
    """BERT with a score for each of several texts, the greatest being the choice."""


@keras.saving.register_keras_serializable(PACKAGE)
class BertForTokenClassification(_OnBert, TokenClassifier):
    """BERT with a classifier of each token."""

    def _make_head(self, config: Any, policy: Policy) -> None:
        self._make_token_head(config, policy, dropout=_head_dropout(config))


@keras.saving.register_keras_serializable(PACKAGE)
class BertForQuestionAnswering(_OnBert, QuestionAnsweringModel):
    """BERT with two scores for each token: that the answer begins there, and that it ends there."""

    def _make_head(self, config: Any, policy: Policy) -> None:
        self._make_span_head(config, policy, dropout=0.0)


def _head_dropout(config: BertConfig) -> float:
    return config.dropout if config.classifier_dropout is None else config.classifier_dropout
