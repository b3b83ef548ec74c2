"""The Keras wing. Its models have the names of PyTorch's, and those that are published for TensorFlow.

They are models of Keras 3, which computes with TensorFlow unless it is told otherwise, as by
``KERAS_BACKEND=jax`` or ``torch`` in the environment.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import keras as _keras  # noqa: F401  # the wing's need, checked once and said once; it loads what computes
except ImportError as error:
    from distilbert.errors import MissingExtraError

    raise MissingExtraError.of("keras", wanted="The Keras wing", missing=error.name or "keras") from None

if TYPE_CHECKING:
    from distilbert.keras.auto import AutoModel as AutoModel
    from distilbert.keras.auto import AutoModelForMaskedLM as AutoModelForMaskedLM
    from distilbert.keras.auto import AutoModelForMultipleChoice as AutoModelForMultipleChoice
    from distilbert.keras.auto import AutoModelForQuestionAnswering as AutoModelForQuestionAnswering
    from distilbert.keras.auto import AutoModelForSequenceClassification as AutoModelForSequenceClassification
    from distilbert.keras.auto import AutoModelForTokenClassification as AutoModelForTokenClassification
    from distilbert.keras.auto import TFAutoModel as TFAutoModel
    from distilbert.keras.auto import TFAutoModelForMaskedLM as TFAutoModelForMaskedLM
    from distilbert.keras.auto import TFAutoModelForMultipleChoice as TFAutoModelForMultipleChoice
    from distilbert.keras.auto import TFAutoModelForQuestionAnswering as TFAutoModelForQuestionAnswering
    from distilbert.keras.auto import (
        TFAutoModelForSequenceClassification as TFAutoModelForSequenceClassification,
    )
    from distilbert.keras.auto import TFAutoModelForTokenClassification as TFAutoModelForTokenClassification
    from distilbert.keras.bert import BertForMaskedLM as BertForMaskedLM
    from distilbert.keras.bert import BertForMultipleChoice as BertForMultipleChoice
    from distilbert.keras.bert import BertForQuestionAnswering as BertForQuestionAnswering
    from distilbert.keras.bert import BertForSequenceClassification as BertForSequenceClassification
    from distilbert.keras.bert import BertForTokenClassification as BertForTokenClassification
    from distilbert.keras.bert import BertModel as BertModel
    from distilbert.keras.distilbert import DistilBertForMaskedLM as DistilBertForMaskedLM
    from distilbert.keras.distilbert import DistilBertForMultipleChoice as DistilBertForMultipleChoice
    from distilbert.keras.distilbert import DistilBertForQuestionAnswering as DistilBertForQuestionAnswering
    from distilbert.keras.distilbert import (
        DistilBertForSequenceClassification as DistilBertForSequenceClassification,
    )
    from distilbert.keras.distilbert import (
        DistilBertForTokenClassification as DistilBertForTokenClassification,
    )
    from distilbert.keras.distilbert import DistilBertModel as DistilBertModel
    from distilbert.keras.distilbert import TFDistilBertForMaskedLM as TFDistilBertForMaskedLM
    from distilbert.keras.distilbert import TFDistilBertForMultipleChoice as TFDistilBertForMultipleChoice
    from distilbert.keras.distilbert import (
        TFDistilBertForQuestionAnswering as TFDistilBertForQuestionAnswering,
    )
    from distilbert.keras.distilbert import (
        TFDistilBertForSequenceClassification as TFDistilBertForSequenceClassification,
    )
    from distilbert.keras.distilbert import (
        TFDistilBertForTokenClassification as TFDistilBertForTokenClassification,
    )
    from distilbert.keras.distilbert import TFDistilBertModel as TFDistilBertModel

_HEADS = ("Model", "ForMaskedLM", "ForMultipleChoice", "ForQuestionAnswering",
          "ForSequenceClassification", "ForTokenClassification")  # fmt: skip

#: Where each name lives: the models, under the names that are published for TensorFlow too.
_HOMES = {
    **{f"{prefix}DistilBert{head}": "distilbert" for prefix in ("", "TF") for head in _HEADS},
    **{f"Bert{head}": "bert" for head in _HEADS},
    **{f"{prefix}AutoModel{head.removeprefix('Model')}": "auto" for prefix in ("", "TF") for head in _HEADS},
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  # the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'distilbert.keras' has no attribute {name!r}")
    return getattr(import_module(f"distilbert.keras.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
