"""The model class that a folder's configuration asks for: a DistilBERT's or a BERT's."""

from typing import ClassVar

from distilbert.core.auto import AutoClass
from distilbert.core.config import BertConfig, DistilBertConfig
from distilbert.jax import bert, distilbert


class AutoModel(AutoClass):
    """The encoder without a head: ``DistilBertModel`` or ``BertModel``."""

    classes: ClassVar = {DistilBertConfig: distilbert.DistilBertModel, BertConfig: bert.BertModel}


class AutoModelForMaskedLM(AutoModel):
    """With the masked-language-model head."""

    classes: ClassVar = {DistilBertConfig: distilbert.DistilBertForMaskedLM, BertConfig: bert.BertForMaskedLM}


class AutoModelForSequenceClassification(AutoModel):
    """With a classifier of whole texts."""

    classes: ClassVar = {
        DistilBertConfig: distilbert.DistilBertForSequenceClassification,
        BertConfig: bert.BertForSequenceClassification,
    }


class AutoModelForMultipleChoice(AutoModel):
    """With a score for each of several texts."""

    classes: ClassVar = {
        DistilBertConfig: distilbert.DistilBertForMultipleChoice,
        BertConfig: bert.BertForMultipleChoice,
    }


class AutoModelForTokenClassification(AutoModel):
    """With a classifier of each token."""

    classes: ClassVar = {
        DistilBertConfig: distilbert.DistilBertForTokenClassification,
        BertConfig: bert.BertForTokenClassification,
    }


class AutoModelForQuestionAnswering(AutoModel):
    """With two scores for each token."""

    classes: ClassVar = {
        DistilBertConfig: distilbert.DistilBertForQuestionAnswering,
        BertConfig: bert.BertForQuestionAnswering,
    }


# The names that are published for Flax.
FlaxAutoModel = AutoModel
FlaxAutoModelForMaskedLM = AutoModelForMaskedLM
FlaxAutoModelForSequenceClassification = AutoModelForSequenceClassification
FlaxAutoModelForMultipleChoice = AutoModelForMultipleChoice
FlaxAutoModelForTokenClassification = AutoModelForTokenClassification
FlaxAutoModelForQuestionAnswering = AutoModelForQuestionAnswering
