"""The JAX wing. Its models have the names of PyTorch's, and those that are published for Flax."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import flax as _flax  # noqa: F401  # the wing's needs, checked once and said once
    import jax as _jax  # noqa: F401  # likewise
except ImportError as error:
    from distilbert.errors import MissingExtraError

    raise MissingExtraError.of("jax", wanted="The JAX wing", missing=error.name or "jax") from None

if TYPE_CHECKING:
    from distilbert.jax.auto import AutoModel as AutoModel
    from distilbert.jax.auto import AutoModelForMaskedLM as AutoModelForMaskedLM
    from distilbert.jax.auto import AutoModelForMultipleChoice as AutoModelForMultipleChoice
    from distilbert.jax.auto import AutoModelForQuestionAnswering as AutoModelForQuestionAnswering
    from distilbert.jax.auto import AutoModelForSequenceClassification as AutoModelForSequenceClassification
    from distilbert.jax.auto import AutoModelForTokenClassification as AutoModelForTokenClassification
    from distilbert.jax.auto import FlaxAutoModel as FlaxAutoModel
    from distilbert.jax.auto import FlaxAutoModelForMaskedLM as FlaxAutoModelForMaskedLM
    from distilbert.jax.auto import FlaxAutoModelForMultipleChoice as FlaxAutoModelForMultipleChoice
    from distilbert.jax.auto import FlaxAutoModelForQuestionAnswering as FlaxAutoModelForQuestionAnswering
    from distilbert.jax.auto import (
        FlaxAutoModelForSequenceClassification as FlaxAutoModelForSequenceClassification,
    )
    from distilbert.jax.auto import FlaxAutoModelForTokenClassification as FlaxAutoModelForTokenClassification
    from distilbert.jax.bert import BertForMaskedLM as BertForMaskedLM
    from distilbert.jax.bert import BertForMultipleChoice as BertForMultipleChoice
    from distilbert.jax.bert import BertForQuestionAnswering as BertForQuestionAnswering
    from distilbert.jax.bert import BertForSequenceClassification as BertForSequenceClassification
    from distilbert.jax.bert import BertForTokenClassification as BertForTokenClassification
    from distilbert.jax.bert import BertModel as BertModel
    from distilbert.jax.distilbert import DistilBertForMaskedLM as DistilBertForMaskedLM
    from distilbert.jax.distilbert import DistilBertForMultipleChoice as DistilBertForMultipleChoice
    from distilbert.jax.distilbert import DistilBertForQuestionAnswering as DistilBertForQuestionAnswering
    from distilbert.jax.distilbert import (
        DistilBertForSequenceClassification as DistilBertForSequenceClassification,
    )
    from distilbert.jax.distilbert import (
        DistilBertForTokenClassification as DistilBertForTokenClassification,
    )
    from distilbert.jax.distilbert import DistilBertModel as DistilBertModel
    from distilbert.jax.distilbert import FlaxDistilBertForMaskedLM as FlaxDistilBertForMaskedLM
    from distilbert.jax.distilbert import FlaxDistilBertForMultipleChoice as FlaxDistilBertForMultipleChoice
    from distilbert.jax.distilbert import (
        FlaxDistilBertForQuestionAnswering as FlaxDistilBertForQuestionAnswering,
    )
    from distilbert.jax.distilbert import (
        FlaxDistilBertForSequenceClassification as FlaxDistilBertForSequenceClassification,
    )
    from distilbert.jax.distilbert import (
        FlaxDistilBertForTokenClassification as FlaxDistilBertForTokenClassification,
    )
    from distilbert.jax.distilbert import FlaxDistilBertModel as FlaxDistilBertModel

_HEADS = ("Model", "ForMaskedLM", "ForMultipleChoice", "ForQuestionAnswering",
          "ForSequenceClassification", "ForTokenClassification")  # fmt: skip

#: Where each name lives: the models, under the names that are published for Flax too.
_HOMES = {
    **{f"{prefix}DistilBert{head}": "distilbert" for prefix in ("", "Flax") for head in _HEADS},
    **{f"Bert{head}": "bert" for head in _HEADS},
    **{
        f"{prefix}AutoModel{head.removeprefix('Model')}": "auto" for prefix in ("", "Flax") for head in _HEADS
    },
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  # the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'distilbert.jax' has no attribute {name!r}")
    return getattr(import_module(f"distilbert.jax.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
