"""The configuration, the tokenizer and the model class that a folder asks for."""

from pathlib import Path
from typing import Any, ClassVar

from distilbert.core.config import BertConfig, DistilBertConfig, EncoderConfig, read_config
from distilbert.core.hub import Part, hub_keywords, local_folder
from distilbert.core.text import DistilBertTokenizer, DistilBertTokenizerFast
from distilbert.errors import ConfigError


class AutoConfig:
    """``DistilBertConfig`` or ``BertConfig``."""

    def __init__(self) -> None:
        raise ConfigError(
            "AutoConfig chooses a class and has no objects.",
            received="AutoConfig()",
            remedy="Use AutoConfig.from_pretrained(folder).",
        )

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **keywords: Any) -> EncoderConfig:
        """From the ``config.json`` of a folder or of its repository on a hub, or from a file like it.

        Further keywords change fields.

        Raises:
            CheckpointError: there is no such file, or it is not JSON.
            ConfigError: the model is neither a DistilBERT nor a BERT.
        """
        where, changes = hub_keywords(keywords)
        source = pretrained_model_name_or_path
        if not (isinstance(source, str | Path) and Path(source).is_file()):
            source = local_folder(source, wanted={Part.CONFIG}, **where)
        return read_config(source, **changes)

    @classmethod
    def for_model(cls, model_type: str, **fields: Any) -> EncoderConfig:
        """A new configuration: of "distilbert" or "bert".

        Raises:
            ConfigError: another type.
        """
        kinds: dict[str, type[EncoderConfig]] = {k.model_type: k for k in (DistilBertConfig, BertConfig)}
        if model_type not in kinds:
            raise ConfigError(
                f"model_type must be one of {', '.join(kinds)}.",
                received=f"model_type={model_type!r}",
                remedy="Choose one of them.",
            )
        return kinds[model_type](**fields)


class AutoTokenizer:
    """``DistilBertTokenizerFast``, or with ``use_fast=False`` ``DistilBertTokenizer``; for a BERT as well."""

    def __init__(self) -> None:
        raise ConfigError(
            "AutoTokenizer chooses a class and has no objects.",
            received="AutoTokenizer()",
            remedy="Use AutoTokenizer.from_pretrained(folder).",
        )

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, use_fast: bool = True, **keywords: Any
    ) -> DistilBertTokenizer | DistilBertTokenizerFast:
        """From a model's folder or from a hub; the keywords are the class's own.

        Raises:
            CheckpointError: a file is missing or damaged.
        """
        kind = DistilBertTokenizerFast if use_fast else DistilBertTokenizer
        return kind.from_pretrained(pretrained_model_name_or_path, **keywords)


class AutoClass:
    """A model class for each kind of configuration. Abstract: the wings have one for each head.

    Attributes:
        classes: by the kind of configuration that they are built from.
    """

    classes: ClassVar[dict[type[EncoderConfig], Any]]

    def __init__(self) -> None:
        raise ConfigError(
            f"{type(self).__name__} chooses a class and has no objects.",
            received=f"{type(self).__name__}()",
            remedy=f"Use {type(self).__name__}.from_pretrained(folder) or .from_config(config).",
        )

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *given: Any, **keywords: Any) -> Any:
        """A model from its folder or from a hub; what else is given is the class's own.

        Raises:
            CheckpointError: a file is missing or damaged.
            ConfigError: the folder is neither a DistilBERT's nor a BERT's.
        """
        config = keywords.get("config")
        if not isinstance(config, EncoderConfig):
            where, _ = hub_keywords(keywords)
            source = pretrained_model_name_or_path if config is None else config
            config = AutoConfig.from_pretrained(source, **where)
        return cls.chosen(config).from_pretrained(pretrained_model_name_or_path, *given, **keywords)

    @classmethod
    def from_config(cls, config: EncoderConfig, **settings: Any) -> Any:
        """A new model, its weights drawn.

        Args:
            config: a ``DistilBertConfig`` or a ``BertConfig``.
            **settings: of the class, such as ``seed`` and ``dtype``.

        Raises:
            ConfigError: another configuration.
        """
        return cls.chosen(config)(config, **settings)

    @classmethod
    def chosen(cls, config: EncoderConfig) -> Any:
        """The class for a configuration.

        Raises:
            ConfigError: there is none.
        """
        kind = cls.classes.get(type(config))
        if kind is None:
            raise ConfigError(
                f"{cls.__name__} takes a DistilBertConfig or a BertConfig.",
                received=f"a {type(config).__name__}",
                remedy="Give it one of them, or use the model's own class.",
            )
        return kind
