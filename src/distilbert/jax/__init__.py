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

__all__ = [f"{prefix}DistilBert{head}" for prefix in ("", "Flax") for head in _HEADS]  # a list it is


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'distilbert.jax' has no attribute {name!r}")
    return getattr(import_module("distilbert.jax.distilbert"), name)


def __dir__() -> list[str]:
    return __all__
