"""Distil a big BERT-like teacher into a small student, fine-tune it, and use it.

Importing this package loads nothing but the standard library; a name loads what it needs when it is
first touched.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from distilbert.compression.compressor import Compressor as Compressor
    from distilbert.compression.proof import verify as verify
    from distilbert.core.auto import AutoConfig as AutoConfig
    from distilbert.core.auto import AutoTokenizer as AutoTokenizer
    from distilbert.core.config import BertConfig as BertConfig
    from distilbert.core.config import DistilBertConfig as DistilBertConfig
    from distilbert.core.conversion import convert as convert
    from distilbert.core.data.packing import PackedBatch as PackedBatch
    from distilbert.core.data.packing import pack as pack
    from distilbert.core.packages import package as package
    from distilbert.core.recipe import Finetuning as Finetuning
    from distilbert.core.recipe import LanguageModelling as LanguageModelling
    from distilbert.core.surgery import shrink as shrink
    from distilbert.core.tasks import Examples as Examples
    from distilbert.core.tasks import LabelledTexts as LabelledTexts
    from distilbert.core.tasks.reading import read_examples as read_examples
    from distilbert.core.teachers.chat import ChatTeacher as ChatTeacher
    from distilbert.core.teachers.label_files import LabelFile as LabelFile
    from distilbert.core.text import AddedToken as AddedToken
    from distilbert.core.text import BatchEncoding as BatchEncoding
    from distilbert.core.text import DistilBertTokenizer as DistilBertTokenizer
    from distilbert.core.text import DistilBertTokenizerFast as DistilBertTokenizerFast
    from distilbert.core.text.trainer import train_tokenizer as train_tokenizer
    from distilbert.core.training.seeds import run_seeds as run_seeds
    from distilbert.core.trimming import trim as trim
    from distilbert.engine.answer_files import answer_file as answer_file
    from distilbert.engine.engine import Engine as Engine
    from distilbert.engine.engine import load as load
    from distilbert.engine.export import export as export
    from distilbert.engine.optimize import optimize as optimize
    from distilbert.engine.pipelines import pipeline as pipeline
    from distilbert.errors import DistilBertError as DistilBertError
    from distilbert.torch.asking import ask as ask
    from distilbert.torch.auto import AutoModel as AutoModel
    from distilbert.torch.auto import AutoModelForMaskedLM as AutoModelForMaskedLM
    from distilbert.torch.auto import AutoModelForMultipleChoice as AutoModelForMultipleChoice
    from distilbert.torch.auto import AutoModelForQuestionAnswering as AutoModelForQuestionAnswering
    from distilbert.torch.auto import AutoModelForSequenceClassification as AutoModelForSequenceClassification
    from distilbert.torch.auto import AutoModelForTokenClassification as AutoModelForTokenClassification
    from distilbert.torch.bert import BertForMaskedLM as BertForMaskedLM
    from distilbert.torch.bert import BertForMultipleChoice as BertForMultipleChoice
    from distilbert.torch.bert import BertForQuestionAnswering as BertForQuestionAnswering
    from distilbert.torch.bert import BertForSequenceClassification as BertForSequenceClassification
    from distilbert.torch.bert import BertForTokenClassification as BertForTokenClassification
    from distilbert.torch.bert import BertModel as BertModel
    from distilbert.torch.classifier import TextClassifier as TextClassifier
    from distilbert.torch.distilbert import DistilBertForMaskedLM as DistilBertForMaskedLM
    from distilbert.torch.distilbert import DistilBertForMultipleChoice as DistilBertForMultipleChoice
    from distilbert.torch.distilbert import DistilBertForQuestionAnswering as DistilBertForQuestionAnswering
    from distilbert.torch.distilbert import (
        DistilBertForSequenceClassification as DistilBertForSequenceClassification,
    )
    from distilbert.torch.distilbert import (
        DistilBertForTokenClassification as DistilBertForTokenClassification,
    )
    from distilbert.torch.distilbert import DistilBertModel as DistilBertModel
    from distilbert.torch.distill import Distiller as Distiller
    from distilbert.torch.distill import Pretrainer as Pretrainer
    from distilbert.torch.embedder import Embedder as Embedder
    from distilbert.torch.evaluate import calibrate as calibrate
    from distilbert.torch.evaluate import evaluate as evaluate
    from distilbert.torch.finetune import Finetuner as Finetuner
    from distilbert.torch.labelling import label as label
    from distilbert.torch.masked_evaluation import evaluate_language_model as evaluate_language_model
    from distilbert.torch.predictor import Predictor as Predictor
    from distilbert.torch.tuning import tune as tune
    from distilbert.torch.zero_shot import ZeroShot as ZeroShot

#: Where each public name lives.
_HOMES = {
    "AutoConfig": "core.auto",
    "AutoModel": "torch.auto",
    "AutoModelForMaskedLM": "torch.auto",
    "AutoModelForMultipleChoice": "torch.auto",
    "AutoModelForQuestionAnswering": "torch.auto",
    "AutoModelForSequenceClassification": "torch.auto",
    "AutoModelForTokenClassification": "torch.auto",
    "AutoTokenizer": "core.auto",
    "BertConfig": "core.config",
    "BertForMaskedLM": "torch.bert",
    "BertForMultipleChoice": "torch.bert",
    "BertForQuestionAnswering": "torch.bert",
    "BertForSequenceClassification": "torch.bert",
    "BertForTokenClassification": "torch.bert",
    "BertModel": "torch.bert",
    "Compressor": "compression.compressor",
    "verify": "compression.proof",
    "ChatTeacher": "core.teachers.chat",
    "DistilBertConfig": "core.config",
    "DistilBertError": "errors",
    "DistilBertForMaskedLM": "torch.distilbert",
    "DistilBertForMultipleChoice": "torch.distilbert",
    "DistilBertForQuestionAnswering": "torch.distilbert",
    "DistilBertForSequenceClassification": "torch.distilbert",
    "DistilBertForTokenClassification": "torch.distilbert",
    "DistilBertModel": "torch.distilbert",
    "AddedToken": "core.text",
    "BatchEncoding": "core.text",
    "DistilBertTokenizer": "core.text",
    "DistilBertTokenizerFast": "core.text",
    "Distiller": "torch.distill",
    "Embedder": "torch.embedder",
    "Engine": "engine.engine",
    "Examples": "core.tasks",
    "Finetuner": "torch.finetune",
    "Finetuning": "core.recipe",
    "LabelFile": "core.teachers.label_files",
    "LabelledTexts": "core.tasks",
    "LanguageModelling": "core.recipe",
    "PackedBatch": "core.data.packing",
    "Predictor": "torch.predictor",
    "Pretrainer": "torch.distill",
    "TextClassifier": "torch.classifier",
    "ZeroShot": "torch.zero_shot",
    "convert": "core.conversion",
    "label": "torch.labelling",
    "load": "engine.engine",
    "pack": "core.data.packing",
    "package": "core.packages",
    "pipeline": "engine.pipelines",
    "read_examples": "core.tasks.reading",
    "answer_file": "engine.answer_files",
    "calibrate": "torch.evaluate",
    "evaluate": "torch.evaluate",
    "evaluate_language_model": "torch.masked_evaluation",
    "export": "engine.export",
    "optimize": "engine.optimize",
    "train_tokenizer": "core.text.trainer",
    "trim": "core.trimming",
    "ask": "torch.asking",
    "shrink": "core.surgery",
    "run_seeds": "core.training.seeds",
    "tune": "torch.tuning",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  # the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'distilbert' has no attribute {name!r}")
    return getattr(import_module(f"distilbert.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
