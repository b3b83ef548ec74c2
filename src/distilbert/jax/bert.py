"""BERT, as a teacher: DistilBERT's blocks with token types and a pooler, from published BERT folders.

It has the same five heads (Devlin et al. 2019, section 4); those that read one token read the pooler's.
"""

from typing import Any

import jax.numpy as jnp
from flax import nnx

from distilbert.core.config import BertConfig
from distilbert.core.parameters import Parameter, is_encoder
from distilbert.jax.embeddings import Embeddings
from distilbert.jax.encoder import Encoder, Transformer
from distilbert.jax.headed import HeadedModel
from distilbert.jax.heads import (
    MaskedLanguageModel,
    MultipleChoiceModel,
    QuestionAnsweringModel,
    SequenceClassifier,
    TokenClassifier,
)
from distilbert.jax.modules import Array, Kinds, dropped, linear


class Pooler(nnx.Module):
    """A linear map and a tanh over the first token."""

    def __init__(self, config: BertConfig, *, kinds: Kinds) -> None:
        self.dense = linear(config.dim, config.dim, kinds)

    def __call__(self, first_BD: Array) -> Array:
        return jnp.tanh(self.dense(first_BD))


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

    def __init__(self, config: BertConfig, *given: Any, pooled: bool = True, **kinds: Any) -> None:
        self.pooled = pooled
        super().__init__(config, *given, **kinds)

    def _build(self, config: Any, kinds: Kinds) -> None:
        self.embeddings = Embeddings(config, kinds=kinds, type_vocab_size=config.type_vocab_size)
        self.transformer = Transformer(config, kinds=kinds, attended_dropout=config.dropout)
        if self.pooled:
            self.pooler = Pooler(config, kinds=kinds)

    @property
    def manifest(self) -> tuple[Parameter, ...]:
        return tuple(p for p in super().manifest if self.pooled or is_encoder(p.key, self.config))


class _OnBert(HeadedModel):
    config_class = BertConfig
    base_model_prefix = BertConfig.model_type
    bert: BertModel

    @classmethod
    def encoder_class(cls, config: BertConfig, **kinds: Any) -> BertModel:
        return BertModel(config, pooled=cls.head.reads_one_token, **kinds)


class _OverPooler(_OnBert):
    """Dropout and linear over the pooler."""

    def _build_head(self, config: Any, kinds: Kinds) -> None:
        self.dropout = _head_dropout(config)
        self.classifier = linear(config.dim, self._outputs(config), kinds)

    def class_logits(self, first_BD: Array, key: Array | None = None) -> Array:
        return self.classifier(dropped(self.bert.pooler(first_BD), self.dropout, key))


class BertForMaskedLM(_OnBert, MaskedLanguageModel):
    """BERT with its masked-language-model head, tied to the word embeddings."""


class BertForSequenceClassification(_OverPooler, SequenceClassifier):
    """BERT with a classifier of whole texts."""


class BertForMultipleChoice(_OverPooler, MultipleChoiceModel):
    """BERT with a score for each of several texts, the greatest being the choice."""


class BertForTokenClassification(_OnBert, TokenClassifier):
    """BERT with a classifier of each token."""

    def _build_head(self, config: Any, kinds: Kinds) -> None:
        self._build_token_head(config, kinds, dropout=_head_dropout(config))


class BertForQuestionAnswering(_OnBert, QuestionAnsweringModel):
    """BERT with two scores for each token: that the answer begins there, and that it ends there."""

    def _build_head(self, config: Any, kinds: Kinds) -> None:
        self._build_span_head(config, kinds, dropout=0.0)


def _head_dropout(config: BertConfig) -> float:
    return config.dropout if config.classifier_dropout is None else config.classifier_dropout
