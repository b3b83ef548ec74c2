"""DistilBERT: the encoder, and it with each of five heads (Sanh et al. 2019)."""

from typing import Any

import keras
from keras import ops

from distilbert.core.config import DistilBertConfig, EncoderConfig
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
from distilbert.keras.modules import Policy, Tensor, dropped, linear

#: Under which the classes are found again in a ``.keras`` file.
PACKAGE = "distilbert"


@keras.saving.register_keras_serializable(PACKAGE)
class DistilBertModel(Encoder):
    """The encoder without a head.

    The arguments are those of ``PreTrainedModel``. ``config.attn_implementation`` is "eager", which a
    configuration that does not say is read as, or "dot_product_attention".

    Raises:
        ConfigError: sizes that do not go together.
    """

    config_class = DistilBertConfig
    base_model_prefix = DistilBertConfig.model_type

    def _make(self, config: EncoderConfig, policy: Policy) -> None:
        self.embeddings = Embeddings(config, policy=policy)
        self.transformer = Transformer(config, policy=policy)


class _OnDistilBert(HeadedModel):
    config_class = DistilBertConfig
    encoder_class = DistilBertModel
    base_model_prefix = DistilBertConfig.model_type
    distilbert: DistilBertModel


class _OverFirstToken(_OnDistilBert):
    """Linear, ReLU, dropout, linear, over the first token's state."""

    def _make_head(self, config: Any, policy: Policy) -> None:
        self.pre_classifier = linear(config.dim, config.dim, policy)
        self.classifier = linear(config.dim, self._outputs(config), policy)
        self.dropout = config.seq_classif_dropout

    def class_logits(self, first_BD: Tensor, key: Tensor | None = None) -> Tensor:
        x_BD = ops.relu(self.pre_classifier(first_BD))
        return self.classifier(dropped(x_BD, self.dropout, key))


@keras.saving.register_keras_serializable(PACKAGE)
class DistilBertForMaskedLM(_OnDistilBert, MaskedLanguageModel):
    """DistilBERT with its masked-language-model head, tied to the word embeddings."""


@keras.saving.register_keras_serializable(PACKAGE)
class DistilBertForSequenceClassification(_OverFirstToken, SequenceClassifier):
    """DistilBERT with a classifier of whole texts: linear, ReLU, dropout, linear over the first token."""


@keras.saving.register_keras_serializable(PACKAGE)
class DistilBertForMultipleChoice(_OverFirstToken, MultipleChoiceModel):
    """DistilBERT with a score for each of several texts, the greatest being the choice."""


@keras.saving.register_keras_serializable(PACKAGE)
class DistilBertForTokenClassification(_OnDistilBert, TokenClassifier):
    """DistilBERT with a classifier of each token: dropout, linear."""

    def _make_head(self, config: Any, policy: Policy) -> None:
        self._make_token_head(config, policy, dropout=config.dropout)


@keras.saving.register_keras_serializable(PACKAGE)
class DistilBertForQuestionAnswering(_OnDistilBert, QuestionAnsweringModel):
    """DistilBERT with two scores for each token: that the answer begins there, and that it ends there."""

    def _make_head(self, config: Any, policy: Policy) -> None:
        self._make_span_head(config, policy, dropout=config.qa_dropout)


# The names that are published for TensorFlow.
TFDistilBertModel = DistilBertModel
TFDistilBertForMaskedLM = DistilBertForMaskedLM
TFDistilBertForSequenceClassification = DistilBertForSequenceClassification
TFDistilBertForMultipleChoice = DistilBertForMultipleChoice
TFDistilBertForTokenClassification = DistilBertForTokenClassification
TFDistilBertForQuestionAnswering = DistilBertForQuestionAnswering
