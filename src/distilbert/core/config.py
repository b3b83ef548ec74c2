"""What an encoder is: the two configurations, and the one that a folder holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from distilbert.core import rules
from distilbert.core.config_files import folder_content, model_type
from distilbert.core.encoder_config import (
    IGNORED_LABEL,
    LAYER_NORM_EPS,
    MOST_LAYERS,
    EncoderConfig,
)
from distilbert.core.rules import Rule
from distilbert.errors import ConfigError

__all__ = [
    "IGNORED_LABEL",
    "LAYER_NORM_EPS",
    "BertConfig",
    "DistilBertConfig",
    "EncoderConfig",
    "read_config",
]


class DistilBertConfig(EncoderConfig):
    """A DistilBERT. The defaults are those of the published ``distilbert-base-uncased``.

    Any further keyword becomes a field of its own name and is kept in ``config.json``.

    Raises:
        ConfigError: a field, or two together, that no model can have.
    """

    model_type = "distilbert"
    aliases: ClassVar[Mapping[str, str]] = {
        "hidden_size": "dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
    }
    field_rules: ClassVar[Mapping[str, Rule]] = {
        "vocab_size": rules.integer(1),
        "max_position_embeddings": rules.integer(1),
        "sinusoidal_pos_embds": rules.flag,
        "n_layers": rules.integer(1, MOST_LAYERS),
        "n_heads": rules.integer(1),
        "dim": rules.integer(1),
        "hidden_dim": rules.integer(1),
        "dropout": rules.number(0, 1),
        "attention_dropout": rules.number(0, 1),
        "activation": rules.activation,
        "initializer_range": rules.number(0, float("inf")),
        "qa_dropout": rules.number(0, 1),
        "seq_classif_dropout": rules.number(0, 1),
        "pad_token_id": rules.integer(0),
        "layer_norm_eps": rules.exactly(LAYER_NORM_EPS),
    }
    layer_norm_eps = LAYER_NORM_EPS

    sinusoidal_pos_embds: bool
    qa_dropout: float
    seq_classif_dropout: float

    def __init__(
        self,
        vocab_size: int = 30522,
        max_position_embeddings: int = 512,
        sinusoidal_pos_embds: bool = False,
        n_layers: int = 6,
        n_heads: int = 12,
        dim: int = 768,
        hidden_dim: int = 4 * 768,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        activation: Any = "gelu",
        initializer_range: float = 0.02,
        qa_dropout: float = 0.1,
        seq_classif_dropout: float = 0.2,
        pad_token_id: int = 0,
        **others: Any,
    ) -> None:
        sizes = {name: value for name, value in locals().items() if name in self.field_rules}
        self._fill(sizes, others)


class BertConfig(EncoderConfig):
    """A BERT, as a teacher. Published names; DistilBERT's names read and write the same fields.

    Raises:
        ConfigError: a field, or two together, that no model can have.
    """

    model_type = "bert"
    aliases: ClassVar[Mapping[str, str]] = {
        "n_layers": "num_hidden_layers",
        "n_heads": "num_attention_heads",
        "dim": "hidden_size",
        "hidden_dim": "intermediate_size",
        "dropout": "hidden_dropout_prob",
        "attention_dropout": "attention_probs_dropout_prob",
        "activation": "hidden_act",
    }
    field_rules: ClassVar[Mapping[str, Rule]] = {
        "vocab_size": rules.integer(1),
        "hidden_size": rules.integer(1),
        "num_hidden_layers": rules.integer(1, MOST_LAYERS),
        "num_attention_heads": rules.integer(1),
        "intermediate_size": rules.integer(1),
        "hidden_act": rules.activation,
        "hidden_dropout_prob": rules.number(0, 1),
        "attention_probs_dropout_prob": rules.number(0, 1),
        "max_position_embeddings": rules.integer(1),
        "type_vocab_size": rules.integer(1),
        "initializer_range": rules.number(0, float("inf")),
        "layer_norm_eps": rules.number(0, float("inf")),
        "pad_token_id": rules.integer(0),
        "position_embedding_type": rules.one_of(("absolute",)),
        "classifier_dropout": rules.optional(rules.number(0, 1)),
    }

    type_vocab_size: int
    classifier_dropout: float | None

    def __init__(
        self,
        vocab_size: int = 30522,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 4 * 768,
        hidden_act: Any = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        initializer_range: float = 0.02,
        layer_norm_eps: float = LAYER_NORM_EPS,
        pad_token_id: int = 0,
        position_embedding_type: str = "absolute",
        classifier_dropout: float | None = None,
        **others: Any,
    ) -> None:
        sizes = {name: value for name, value in locals().items() if name in self.field_rules}
        self._fill(sizes, others)


_CONFIGS: dict[str, type[EncoderConfig]] = {
    config.model_type: config for config in (DistilBertConfig, BertConfig)
}


def read_config(folder: str | Path, **changes: Any) -> EncoderConfig:
    """The configuration of a model folder, or in a file like its ``config.json``, of whichever kind it is.

    A folder of Google's, which has a ``bert_config.json`` instead, is a BERT's; of one without ``model_type``
    its ``architectures`` tell.

    Raises:
        CheckpointError: the folder holds no ``config.json``.
        ConfigError: the model is of a kind this package does not have.
    """
    content = folder_content(Path(folder))
    said = model_type(content)
    kind = _CONFIGS.get(str(said))
    if kind is None:
        raise ConfigError(
            f"model_type must be one of {', '.join(_CONFIGS)}.",
            received=f"model_type={said!r:.80} in {folder}",
            remedy="Choose the folder of a BERT or DistilBERT model.",
        )
    return kind.from_dict(content, **changes)
