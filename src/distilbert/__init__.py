"""Distil a big BERT-like teacher into a small student, fine-tune it, and use it.

Importing this package loads nothing but the standard library; a name loads what it needs when it is
first touched.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from distilbert.core.config import BertConfig as BertConfig
    from distilbert.core.config import DistilBertConfig as DistilBertConfig
    from distilbert.core.conversion import convert as convert
    from distilbert.core.recipe import Finetuning as Finetuning
    from distilbert.core.recipe import LanguageModelling as LanguageModelling
    from distilbert.core.surgery import shrink as shrink
    from distilbert.core.tasks import LabelledTexts as LabelledTexts
    from distilbert.core.text import AddedToken as AddedToken
    from distilbert.core.text import BatchEncoding as BatchEncoding
    from distilbert.core.text import DistilBertTokenizer as DistilBertTokenizer
    from distilbert.core.text import DistilBertTokenizerFast as DistilBertTokenizerFast
    from distilbert.core.text.trainer import train_tokenizer as train_tokenizer
    from distilbert.core.trimming import trim as trim
    from distilbert.errors import DistilBertError as DistilBertError
    from distilbert.torch.bert import BertForMaskedLM as BertForMaskedLM
    from distilbert.torch.bert import BertForSequenceClassification as BertForSequenceClassification
    from distilbert.torch.bert import BertModel as BertModel
    from distilbert.torch.classifier import TextClassifier as TextClassifier
    from distilbert.torch.distill import Distiller as Distiller
    from distilbert.torch.distill import Pretrainer as Pretrainer
    from distilbert.torch.encoder import DistilBertModel as DistilBertModel
    from distilbert.torch.evaluate import evaluate as evaluate
    from distilbert.torch.finetune import Finetuner as Finetuner
    from distilbert.torch.heads import DistilBertForMaskedLM as DistilBertForMaskedLM
    from distilbert.torch.heads import (
        DistilBertForSequenceClassification as DistilBertForSequenceClassification,
    )

#: Where each public name lives.
_HOMES = {
    "BertConfig": "core.config",
    "BertForMaskedLM": "torch.bert",
    "BertForSequenceClassification": "torch.bert",
    "BertModel": "torch.bert",
    "DistilBertConfig": "core.config",
    "DistilBertError": "errors",
    "DistilBertForMaskedLM": "torch.heads",
    "DistilBertForSequenceClassification": "torch.heads",
    "DistilBertModel": "torch.encoder",
    "AddedToken": "core.text",
    "BatchEncoding": "core.text",
    "DistilBertTokenizer": "core.text",
    "DistilBertTokenizerFast": "core.text",
    "Distiller": "torch.distill",
    "Finetuner": "torch.finetune",
    "Finetuning": "core.recipe",
    "LabelledTexts": "core.tasks",
    "LanguageModelling": "core.recipe",
    "Pretrainer": "torch.distill",
    "TextClassifier": "torch.classifier",
    "convert": "core.conversion",
    "evaluate": "torch.evaluate",
    "train_tokenizer": "core.text.trainer",
    "trim": "core.trimming",
    "shrink": "core.surgery",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  # the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'distilbert' has no attribute {name!r}")
    return getattr(import_module(f"distilbert.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
