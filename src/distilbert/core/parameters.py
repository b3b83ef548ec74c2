"""Every parameter of every model: its key, its shape, its role. The only file that spells keys.

Keys are those of the published DistilBERT checkpoints. A BERT has the same blocks under other names;
in memory it bears DistilBERT's, and ``file_key`` is what its published files call the same array, so
that one encoder, one attention and one way to cut layers serve both.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import SimpleNamespace
from typing import Any, TypeVar

from distilbert.core.config import BertConfig, EncoderConfig

Array = TypeVar("Array")


class Role(Enum):
    """What an array is for, which decides how it starts and whether weight decay touches it."""

    EMBEDDING = "embedding"
    KERNEL = "kernel"  # [out, in], as PyTorch stores it
    BIAS = "bias"
    NORM_SCALE = "norm scale"
    NORM_BIAS = "norm bias"

    @property
    def decays(self) -> bool:
        """Biases and LayerNorms are exempt from weight decay (BERT, Devlin et al. 2019, appendix A.2)."""
        return self in (Role.EMBEDDING, Role.KERNEL)


class Axis(Enum):
    """What an axis of an array counts, which decides how it gets shorter."""

    VOCABULARY = "tokens"
    POSITIONS = "positions"
    TYPES = "token types"
    WIDTH = "coordinates of the states, and of what meets the table of words"
    QUERIES = "coordinates of the queries, head after head"
    KEYS = "coordinates of the keys, head after head"
    VALUES = "coordinates of the values, head after head"
    NEURONS = "neurons of a feed-forward"
    POOLED = "coordinates of what a head on one token reads"
    CLASSES = "classes"


#: An axis and its length.
_Side = tuple[Axis, int]


class Head(Enum):
    """What stands on the encoder."""

    NONE = "none"
    MASKED_LM = "masked lm"
    SEQUENCE_CLASSIFICATION = "sequence classification"
    MULTIPLE_CHOICE = "multiple choice"
    TOKEN_CLASSIFICATION = "token classification"
    QUESTION_ANSWERING = "question answering"

    @property
    def reads_one_token(self) -> bool:
        """Whether it stands on each text's first token: of a BERT, through the pooler."""
        return self in (Head.SEQUENCE_CLASSIFICATION, Head.MULTIPLE_CHOICE)


@dataclass(frozen=True)
class Parameter:
    key: str
    shape: tuple[int, ...]
    role: Role
    axes: tuple[Axis, ...]
    #: The name in a published file; for a DistilBERT the same as ``key``.
    file_key: str
    #: The parameter whose array this one is, and which alone is written.
    tied_to: str | None = None


#: Arrays that published files hold and no model has: indices, and a head for a task nobody uses.
IGNORED_FILE_KEYS = re.compile(r"(.*\.)?position_ids|cls\.seq_relationship\.(weight|bias)")

#: Names that mean the same as another: a LayerNorm's in old files, and of a bias that BERT has twice.
_OLD_NAMES = (
    (re.compile(r"\.gamma$"), ".weight"),
    (re.compile(r"\.beta$"), ".bias"),
    (re.compile(r"^cls\.predictions\.decoder\.bias$"), "cls.predictions.bias"),
)

_BERT_NAMES = (
    ("transformer.layer.", "encoder.layer."),
    ("attention.q_lin", "attention.self.query"),
    ("attention.k_lin", "attention.self.key"),
    ("attention.v_lin", "attention.self.value"),
    ("attention.out_lin", "attention.output.dense"),
    ("sa_layer_norm", "attention.output.LayerNorm"),
    ("ffn.lin1", "intermediate.dense"),
    ("ffn.lin2", "output.dense"),
    ("output_layer_norm", "output.LayerNorm"),
)

_BERT_HEAD_NAMES = (
    ("vocab_transform", "cls.predictions.transform.dense"),
    ("vocab_layer_norm", "cls.predictions.transform.LayerNorm"),
    ("vocab_projector.weight", "cls.predictions.decoder.weight"),
    ("vocab_projector.bias", "cls.predictions.bias"),
)

#: What TensorFlow 2 calls a layer whose name is another where it is published.
KERAS_LAYERS = (
    ("cls/predictions", "mlm___cls/predictions"),
    ("cls/seq_relationship", "nsp___cls/seq_relationship"),
)

#: How the names of an encoder's arrays begin where nothing stands before them, a BERT's too.
BASE_PARTS = ("embeddings.", "transformer.", "encoder.", "pooler.")

#: Layers of TensorFlow 2's that hold the embeddings once more, since they read the table of words.
KERAS_TIED_LAYERS = ("vocab_projector", "mlm___cls")

#: What stands in Google's TensorFlow 1 checkpoints under a name that no rule turns into the published one.
GOOGLE_NAMES = (
    ("cls/predictions/output_bias", "cls.predictions.bias"),
    ("cls/squad/output_weights", "qa_outputs.weight"),
    ("cls/squad/output_bias", "qa_outputs.bias"),
    ("output_weights", "classifier.weight"),
    ("output_bias", "classifier.bias"),
)

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
POSITION_EMBEDDINGS = "embeddings.position_embeddings.weight"
TOKEN_TYPE_EMBEDDINGS = "embeddings.token_type_embeddings.weight"

_OLD_NORM_NAMES = {Role.NORM_SCALE: "gamma", Role.NORM_BIAS: "beta"}

_LAYER = re.compile(r"^(transformer\.layer\.)(\d+)(\..+)$")


def manifest(config: EncoderConfig, head: Head = Head.NONE) -> tuple[Parameter, ...]:
    """Every parameter of a model, in the order of its forward pass.

    A BERT has a pooler, except under a head that does not read it.
    """
    encoder = tuple(_encoder(config, pooled=head is Head.NONE or head.reads_one_token))
    if head is Head.NONE:
        return encoder
    prefix = base_prefix(config)
    inside = [replace(p, key=prefix + p.key, file_key=prefix + p.file_key) for p in encoder]
    return (*inside, *_head(config, head))


def parameters_of(head: Head, config: EncoderConfig) -> tuple[Parameter, ...]:
    """What a model for a task holds: an encoder without a head is one without a pooler, which no vector is
    made by.
    """
    whole = manifest(config, head)
    return tuple(p for p in whole if is_encoder(p.key, config)) if head is Head.NONE else whole


def base_prefix(config: EncoderConfig) -> str:
    """What stands before an encoder's keys inside a model with a head."""
    return config.model_type + "."


def is_of_vocabulary(parameter: Parameter) -> bool:
    """Whether an array has a row for each token."""
    return parameter.key.endswith((WORD_EMBEDDINGS, "vocab_projector.weight", "vocab_projector.bias"))


def kept_heads(config: EncoderConfig, layer: int) -> list[int]:
    """The heads of a layer that were not pruned."""
    pruned = config.pruned_heads.get(layer, ())
    return [head for head in range(config.n_heads) if head not in pruned]


def is_encoder(key: str, config: EncoderConfig) -> bool:
    """Whether a key is of the part that every head stands on; a BERT's pooler belongs to some heads only."""
    base = key.removeprefix(base_prefix(config))
    return base.startswith(("embeddings.", "transformer."))


def file_aliases(parameter: Parameter, config: EncoderConfig) -> tuple[str, ...]:
    """The names under which a file may hold a parameter, the usual one first.

    A base model's file goes into a head model and the reverse; BERT's decoder bias has two names, and
    LayerNorms have theirs from TensorFlow in old files.
    """
    key, prefix = parameter.file_key, base_prefix(config)
    other = key.removeprefix(prefix) if key.startswith(prefix) else prefix + key
    doubled = ("cls.predictions.decoder.bias",) if key == "cls.predictions.bias" else ()
    names = (key, other, *doubled)
    old = _OLD_NORM_NAMES.get(parameter.role)
    return names if old is None else (*names, *(f"{name.rpartition('.')[0]}.{old}" for name in names))


def published_name(name: str) -> str:
    """The usual name of an array that a file may hold under an old one."""
    for old, usual in _OLD_NAMES:
        name = old.sub(usual, name)
    return name


def is_index(name: str) -> bool:
    """Whether a file's array only counts positions, which no model needs to be told."""
    return name.rpartition(".")[2] == "position_ids"


def layer_of(key: str) -> int | None:
    """The block a base key belongs to, or None where it belongs to no block."""
    found = _LAYER.match(key)
    return int(found[2]) if found else None


def at_layer(key: str, layer: int) -> str:
    """The key of the same parameter in another block."""
    return _LAYER.sub(rf"\g<1>{layer}\g<3>", key)


def split_base(arrays: Mapping[str, Array], config: EncoderConfig) -> dict[str, Array]:
    """The encoder's arrays under base keys, out of a base model's or a head model's arrays."""
    prefix = base_prefix(config)
    if not any(key.startswith(prefix) for key in arrays):
        return dict(arrays)
    return {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}


def join_base(
    base: Mapping[str, Array], head: Mapping[str, Array], config: EncoderConfig
) -> dict[str, Array]:
    """The arrays of a head model from those of its encoder and of its head."""
    prefix = base_prefix(config)
    return {**{prefix + key: array for key, array in base.items()}, **head}


def as_attributes(arrays: Mapping[str, Any]) -> SimpleNamespace:
    """Arrays by attribute access: ``weights.embeddings.LayerNorm.bias``; blocks are keyed by number."""
    tree: dict[str, Any] = {}
    for key, array in arrays.items():
        *path, leaf = key.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[leaf] = array
    return _namespace(tree)


def _namespace(tree: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(
        **{name: _namespace(sub) if isinstance(sub, dict) else sub for name, sub in tree.items()}
    )


def _encoder(config: EncoderConfig, *, pooled: bool) -> Iterator[Parameter]:
    width = (Axis.WIDTH, config.dim)
    yield _table(config, WORD_EMBEDDINGS, (Axis.VOCABULARY, config.vocab_size))
    yield _table(config, POSITION_EMBEDDINGS, (Axis.POSITIONS, config.max_position_embeddings))
    if isinstance(config, BertConfig):
        yield _table(config, TOKEN_TYPE_EMBEDDINGS, (Axis.TYPES, config.type_vocab_size))
    yield from _norm(config, "embeddings.LayerNorm")
    for i in range(config.n_layers):
        block = f"transformer.layer.{i}"
        inside = len(kept_heads(config, i)) * (config.dim // config.n_heads)
        for name, axis in (("q_lin", Axis.QUERIES), ("k_lin", Axis.KEYS), ("v_lin", Axis.VALUES)):
            yield from _linear(config, f"{block}.attention.{name}", width, (axis, inside))
        yield from _linear(config, f"{block}.attention.out_lin", (Axis.VALUES, inside), width)
        yield from _norm(config, f"{block}.sa_layer_norm")
        neurons = (Axis.NEURONS, config.hidden_dim)
        yield from _linear(config, f"{block}.ffn.lin1", width, neurons)
        yield from _linear(config, f"{block}.ffn.lin2", neurons, width)
        yield from _norm(config, f"{block}.output_layer_norm")
    if isinstance(config, BertConfig) and pooled:
        yield from _linear(config, "pooler.dense", width, (Axis.POOLED, config.dim))


def _head(config: EncoderConfig, head: Head) -> Iterator[Parameter]:
    width = (Axis.WIDTH, config.dim)
    pooled = (Axis.POOLED, config.dim)
    if head is Head.MASKED_LM:
        yield from _linear(config, "vocab_transform", width, width)
        yield from _norm(config, "vocab_layer_norm")
        weight, bias = _linear(config, "vocab_projector", width, (Axis.VOCABULARY, config.vocab_size))
        tied = base_prefix(config) + WORD_EMBEDDINGS if config.tie_word_embeddings else None
        yield replace(weight, tied_to=tied)
        yield bias
    if head.reads_one_token and not isinstance(config, BertConfig):  # a BERT's pooler does this work
        yield from _linear(config, "pre_classifier", width, pooled)
    if head is Head.SEQUENCE_CLASSIFICATION:
        yield from _linear(config, "classifier", pooled, (Axis.CLASSES, config.num_labels))
    if head is Head.TOKEN_CLASSIFICATION:
        yield from _linear(config, "classifier", width, (Axis.CLASSES, config.num_labels))
    if head is Head.MULTIPLE_CHOICE:
        yield from _linear(config, "classifier", pooled, (Axis.CLASSES, 1))
    if head is Head.QUESTION_ANSWERING:
        yield from _linear(config, "qa_outputs", width, (Axis.CLASSES, 2))


def _table(config: EncoderConfig, key: str, rows: _Side) -> Parameter:
    return _parameter(config, key, Role.EMBEDDING, rows, (Axis.WIDTH, config.dim))


def _linear(config: EncoderConfig, name: str, inputs: _Side, outputs: _Side) -> tuple[Parameter, Parameter]:
    return (
        _parameter(config, f"{name}.weight", Role.KERNEL, outputs, inputs),
        _parameter(config, f"{name}.bias", Role.BIAS, outputs),
    )


def _norm(config: EncoderConfig, name: str) -> tuple[Parameter, Parameter]:
    width = (Axis.WIDTH, config.dim)
    return (
        _parameter(config, f"{name}.weight", Role.NORM_SCALE, width),
        _parameter(config, f"{name}.bias", Role.NORM_BIAS, width),
    )


def _parameter(config: EncoderConfig, key: str, role: Role, *sides: _Side) -> Parameter:
    axes, shape = zip(*sides, strict=True)
    return Parameter(key, shape, role, axes, _bert_name(key) if isinstance(config, BertConfig) else key)


def _bert_name(key: str) -> str:
    for ours, theirs in _BERT_NAMES + _BERT_HEAD_NAMES:
        key = key.replace(ours, theirs)
    return key
