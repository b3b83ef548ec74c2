"""The model class that a folder's configuration asks for: a DistilBERT's or a BERT's."""

from pathlib import Path
from typing import Any, ClassVar

from distilbert.core.auto import AutoConfig
from distilbert.core.config import BertConfig, DistilBertConfig, EncoderConfig
from distilbert.core.hub import hub_keywords
from distilbert.core.opening import changed
from distilbert.errors import ConfigError
from distilbert.torch import bert, distilbert
from distilbert.torch.loading import StateDict, chosen_dtype
from distilbert.torch.pretrained import PreTrainedModel


class AutoModel:
    """The encoder without a head: ``DistilBertModel`` or ``BertModel``."""

    classes: ClassVar[dict[type[EncoderConfig], type[PreTrainedModel]]] = {
        DistilBertConfig: distilbert.DistilBertModel,
        BertConfig: bert.BertModel,
    }

    def __init__(self) -> None:
        raise ConfigError(
            f"{type(self).__name__} chooses a class and has no objects.",
            received=f"{type(self).__name__}()",
            remedy=f"Use {type(self).__name__}.from_pretrained(folder) or .from_config(config).",
        )

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **keywords: Any) -> Any:
        """A model from its folder or from a hub, in eval mode; the keywords are the class's own.

        Raises:
            CheckpointError: a file is missing or damaged.
            ConfigError: the folder is neither a DistilBERT's nor a BERT's.
        """
        config = keywords.get("config")
        if not isinstance(config, EncoderConfig):
            where, _ = hub_keywords(keywords)
            source = pretrained_model_name_or_path if config is None else config
            config = AutoConfig.from_pretrained(source, **where)
        return cls.classes[type(config)].from_pretrained(pretrained_model_name_or_path, **keywords)

    @classmethod
    def from_config(cls, config: EncoderConfig, **changes: Any) -> Any:
        """A new model, its weights drawn.

        Args:
            config: a ``DistilBertConfig`` or a ``BertConfig``.
            **changes: fields, such as ``attn_implementation``; ``dtype`` or ``torch_dtype`` of the weights.

        Raises:
            ConfigError: another configuration.
        """
        kind = cls.classes.get(type(config))
        if kind is None:
            raise ConfigError(
                f"{cls.__name__} takes a DistilBertConfig or a BertConfig.",
                received=f"a {type(config).__name__}",
                remedy="Give it one of them, or use the model's own class.",
            )
        dtype = changes.pop("dtype", None) or changes.pop("torch_dtype", None) or config.dtype
        return kind(changed(config, changes)).to(chosen_dtype(dtype, config, StateDict({})))


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
