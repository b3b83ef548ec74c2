"""DistilBERT: the encoder, and it with each of five heads (Sanh et al. 2019)."""

from typing import Any

import jax

from distilbert.core.config import DistilBertConfig, EncoderConfig
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


class DistilBertModel(Encoder):
    """The encoder without a head.

    The arguments are those of ``PreTrainedModel``. ``config.attn_implementation`` is "eager", which a
    configuration that does not say is read as, or "dot_product_attention".

    Raises:
        ConfigError: sizes that do not go together.
    """

    config_class = DistilBertConfig
    base_model_prefix = DistilBertConfig.model_type

    def _build(self, config: EncoderConfig, kinds: Kinds) -> None:
        self.embeddings = Embeddings(config, kinds=kinds)
        self.transformer = Transformer(config, kinds=kinds)


class _OnDistilBert(HeadedModel):
    config_class = DistilBertConfig
    encoder_class = DistilBertModel
    base_model_prefix = DistilBertConfig.model_type
    distilbert: DistilBertModel


class _OverFirstToken(_OnDistilBert):
    """Linear, ReLU, dropout, linear, over the first token's state."""

    def _build_head(self, config: Any, kinds: Kinds) -> None:
        self.pre_classifier = linear(config.dim, config.dim, kinds)
        self.classifier = linear(config.dim, self._outputs(config), kinds)
        self.dropout = config.seq_classif_dropout

    def class_logits(self, first_BD: Array, key: Array | None = None) -> Array:
        x_BD = jax.nn.relu(self.pre_classifier(first_BD))
        return self.classifier(dropped(x_BD, self.dropout, key))


class DistilBertForMaskedLM(_OnDistilBert, MaskedLanguageModel):
    """DistilBERT with its masked-language-model head, tied to the word embeddings."""


class DistilBertForSequenceClassification(_OverFirstToken, SequenceClassifier):
    """DistilBERT with a classifier of whole texts: linear, ReLU, dropout, linear over the first token."""


class DistilBertForMultipleChoice(_OverFirstToken, MultipleChoiceModel):
    """DistilBERT with a score for each of several texts, the greatest being the choice."""


class DistilBertForTokenClassification(_OnDistilBert, TokenClassifier):
    """DistilBERT with a classifier of each token: dropout, linear."""

    def _build_head(self, config: Any, kinds: Kinds) -> None:
        self._build_token_head(config, kinds, dropout=config.dropout)


class DistilBertForQuestionAnswering(_OnDistilBert, QuestionAnsweringModel):
    """DistilBERT with two scores for each token: that the answer begins there, and that it ends there."""

    def _build_head(self, config: Any, kinds: Kinds) -> None:
        self._build_span_head(config, kinds, dropout=config.qa_dropout)


# The names that are published for Flax.
FlaxDistilBertModel = DistilBertModel
FlaxDistilBertForMaskedLM = DistilBertForMaskedLM
FlaxDistilBertForSequenceClassification = DistilBertForSequenceClassification
FlaxDistilBertForMultipleChoice = DistilBertForMultipleChoice
FlaxDistilBertForTokenClassification = DistilBertForTokenClassification
FlaxDistilBertForQuestionAnswering = DistilBertForQuestionAnswering
