"""What an encoder is: its sizes and rates, checked, in memory and as ``config.json``.

Rules for one field hold whenever it is assigned. Rules across fields hold in the constructor, when a
model is built and when the configuration is saved (``check``), so that two assignments in a row work.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from distilbert.core import rules
from distilbert.core.files import CONFIG_FILE, read_json, write_atomically
from distilbert.core.rules import Rule
from distilbert.errors import ConfigError

#: Epsilon of every LayerNorm (BERT's, and therefore DistilBERT's).
LAYER_NORM_EPS = 1e-12

#: The label of a position that takes no part in a loss.
IGNORED_LABEL = -100

#: More than any published encoder has, by far; a larger number is a broken file's.
MOST_LAYERS = 1024

_TWO_LABELS = {0: "LABEL_0", 1: "LABEL_1"}

#: What every configuration has besides its sizes; written only where it differs from these defaults.
_SHARED_DEFAULTS: dict[str, Any] = {
    "architectures": None,
    "attn_implementation": "sdpa",
    "dtype": None,
    "id2label": _TWO_LABELS,
    "label2id": {name: i for i, name in _TWO_LABELS.items()},
    "output_attentions": False,
    "output_hidden_states": False,
    "problem_type": None,
    "return_dict": True,
    "tie_word_embeddings": True,
}

_SHARED_RULES: dict[str, Rule] = {
    "id2label": rules.label_names,
    "label2id": rules.label_ids,
    "output_attentions": rules.flag,
    "output_hidden_states": rules.flag,
    "architectures": rules.optional(rules.names),
    "problem_type": rules.optional(rules.one_of(rules.PROBLEM_TYPES)),
    "return_dict": rules.flag,
    "tie_word_embeddings": rules.flag,
}


class EncoderConfig:
    """What the two configurations share. Keys it does not know are kept, as published files have some."""

    model_type: ClassVar[str]
    #: Other names of a field, for reading, assigning and constructing.
    aliases: ClassVar[Mapping[str, str]]
    field_rules: ClassVar[Mapping[str, Rule]]

    # The sizes and rates that every model reads, under DistilBERT's names.
    vocab_size: int
    max_position_embeddings: int
    n_layers: int
    n_heads: int
    dim: int
    hidden_dim: int
    dropout: float
    attention_dropout: float
    activation: Any
    initializer_range: float
    pad_token_id: int
    layer_norm_eps: float

    architectures: list[str] | None
    attn_implementation: str
    dtype: str | None
    id2label: dict[int, str]
    label2id: dict[str, int]
    output_attentions: bool
    output_hidden_states: bool
    problem_type: str | None
    return_dict: bool
    tie_word_embeddings: bool

    def _fill(self, sizes: Mapping[str, Any], others: Mapping[str, Any]) -> None:
        """Set every field once: sizes, shared defaults, then what the caller named besides."""
        for name, value in (*sizes.items(), *_SHARED_DEFAULTS.items()):
            setattr(self, name, value)
        others = dict(others)
        others.pop("model_type", None)
        if taken := [name for name in others if name not in _SHARED_DEFAULTS and hasattr(type(self), name)]:
            taken = [name for name in taken if name != "num_labels" and name not in self.field_rules]
        if taken:
            raise ConfigError(
                "A further field must have a name that the configuration has no other use for.",
                received=", ".join(taken),
                remedy="Rename or remove it.",
            )
        # A count of labels stands behind names, which say more.
        if (count := others.pop("num_labels", None)) is not None and "id2label" not in others:
            self.num_labels = count
        for name, value in others.items():
            setattr(self, name, value)
        if "id2label" in others and "label2id" not in others:
            self.label2id = {name: i for i, name in self.id2label.items()}
        self.check()

    def __setattr__(self, name: str, value: Any) -> None:
        name = self.aliases.get(name, name)
        rule = self.field_rules.get(name) or _SHARED_RULES.get(name)
        object.__setattr__(self, name, rule(name, value) if rule else value)

    def __getattr__(self, name: str) -> Any:
        if name in self.aliases:
            return getattr(self, self.aliases[name])
        raise AttributeError(f"{type(self).__name__} has no field {name!r}")

    @property
    def num_labels(self) -> int:
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        count = rules.integer(1)("num_labels", count)
        if count != len(self.id2label):
            self.id2label = {i: f"LABEL_{i}" for i in range(count)}
            self.label2id = {name: i for i, name in self.id2label.items()}

    @property
    def use_return_dict(self) -> bool:
        return self.return_dict

    def check(self) -> None:
        """Hold the rules across fields.

        Raises:
            ConfigError: the heads do not divide the width, labels are numbered with gaps, or the padding id
                is outside the vocabulary.
        """
        if self.dim % self.n_heads:
            heads, width = self._spelled("n_heads"), self._spelled("dim")
            divisors = [str(n) for n in range(1, self.dim + 1) if self.dim % n == 0][:7]
            choice = " or ".join(part for part in (", ".join(divisors[:-1]), divisors[-1]) if part)
            raise ConfigError(
                f"{heads} must divide {width}.",
                received=f"{heads}={self.n_heads}, {width}={self.dim}",
                remedy=f"Choose {choice}.",
            )
        if sorted(self.id2label) != list(range(len(self.id2label))):
            raise ConfigError(
                "id2label must number the labels from 0 on.",
                received="id2label with the ids " + ", ".join(map(str, self.id2label)),
                remedy="Give the labels the ids of their logits.",
            )
        if self.pad_token_id >= self.vocab_size:
            raise ConfigError(
                "pad_token_id must be an id of the vocabulary.",
                received=f"pad_token_id={self.pad_token_id}, vocab_size={self.vocab_size}",
                remedy=f"Choose an id from 0 to {self.vocab_size - 1}.",
            )

    def _spelled(self, name: str) -> str:
        return self.aliases.get(name, name)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``config.json``: every size, and the rest where it differs from its default."""
        content = {
            name: value
            for name, value in vars(self).items()
            if name not in _SHARED_DEFAULTS or value != _SHARED_DEFAULTS[name]
        }
        content.pop("attn_implementation", None)  # how to compute, not what: a choice of each machine
        return {**content, "model_type": self.model_type}

    def to_json_string(self) -> str:
        """The text of ``config.json``.

        Raises:
            ConfigError: the activation is a callable, which no file can hold.
        """
        if callable(self.activation):
            raise ConfigError(
                "A saved activation must be a published name.",
                received=f"the callable {self.activation!r}",
                remedy=f"Choose one of {', '.join(rules.ACTIVATIONS)}.",
            )
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], **changes: Any) -> Self:
        """From the content of a ``config.json``; ``changes`` go over it."""
        content = {cls.aliases.get(name, name): value for name, value in content.items()}
        changes = {cls.aliases.get(name, name): value for name, value in changes.items()}
        if "num_labels" in changes and "id2label" not in changes:
            content.pop("id2label", None)
            content.pop("label2id", None)
        if "id2label" in changes and "label2id" not in changes:
            content.pop("label2id", None)
        if "torch_dtype" in content:
            content["dtype"] = content.pop("torch_dtype")
        content.pop("self", None)
        return cls(**{**content, **changes})

    @classmethod
    def from_pretrained(cls, folder: str | Path, **changes: Any) -> Self:
        """From a model folder's ``config.json``; ``changes`` go over it.

        Raises:
            CheckpointError: there is no such file, or it is not JSON.
            ConfigError: a field holds what it cannot, or the model type is another.
        """
        content = read_json(Path(folder) / CONFIG_FILE)
        if content.get("model_type", cls.model_type) != cls.model_type:
            raise ConfigError(
                f"{cls.__name__} reads folders whose model_type is {cls.model_type}.",
                received=f"model_type={content['model_type']} in {folder}",
                remedy="Use the class of that model type.",
            )
        return cls.from_dict(content, **changes)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` into ``folder``, which is made where it is missing.

        Raises:
            ConfigError: a rule across fields does not hold.
        """
        self.check()
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_atomically(Path(folder) / CONFIG_FILE, self.to_json_string().encode())

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # mutable, so never a dictionary's key

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in sorted(self.to_dict().items()))
        return f"{type(self).__name__}({fields})"


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
    """The configuration of a model folder, of whichever kind it says it is.

    Raises:
        CheckpointError: the folder holds no ``config.json``.
        ConfigError: the model is of a kind this package does not have.
    """
    content = read_json(Path(folder) / CONFIG_FILE)
    kind = _CONFIGS.get(str(content.get("model_type")))
    if kind is None:
        raise ConfigError(
            f"model_type must be one of {', '.join(_CONFIGS)}.",
            received=f"model_type={content.get('model_type')!r} in {folder}",
            remedy="Choose the folder of a BERT or DistilBERT model.",
        )
    return kind.from_dict(content, **changes)
