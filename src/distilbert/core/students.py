"""What a student is to be: its depth, width and heads, and where its first weights come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from distilbert.core import rules
from distilbert.core.config import DistilBertConfig, EncoderConfig
from distilbert.core.layers import Take, choose_layers
from distilbert.core.parameters import WORD_EMBEDDINGS, Head, Role, manifest
from distilbert.core.weight_files import Arrays
from distilbert.errors import ConfigError

#: Where a student's first weights come from: its teacher's layers as they are, cut to fewer coordinates as
#: they stand or along principal components (``core/narrowing.py``), or nowhere.
Init = Literal["layers", "slice", "pca", "random"]


@dataclass(frozen=True)
class StudentPlan:
    """A student that can be made of its teacher.

    Attributes:
        config: the student's configuration.
        layers: the teacher's layers that it begins with; none where it begins at random.
        init: where its first weights come from.
    """

    config: DistilBertConfig
    layers: tuple[int, ...]
    init: Init

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` says of it."""
        return {"teacher_layers": list(self.layers), "init": self.init}


@dataclass(frozen=True)
class StudentShape:
    """The sizes of a student; those that are None are its teacher's.

    The vocabulary is the teacher's too. For a smaller one the teacher's is cut first (``trim``), which
    changes nothing on the texts that it is cut to, and teacher and student go on speaking of the same tokens.

    Attributes:
        layers: how many of the teacher's layers, or which; one may be named twice. For a student that
            begins at random only their number counts, and it may be any.
        take: where a number of layers is taken (``choose_layers``).
        dim: the width.
        n_heads: the attention heads of a layer. None: as many as keep the width of each, or where that
            does not divide ``dim``, the teacher's number.
        hidden_dim: the neurons of a feed-forward. None: the teacher's ratio to the width.
        positions: the longest text in tokens.
    """

    layers: int | Sequence[int]
    take: Take | None = None
    dim: int | None = None
    n_heads: int | None = None
    hidden_dim: int | None = None
    positions: int | None = None

    def plan(self, teacher: EncoderConfig, *, init: Init | None = None) -> StudentPlan:
        """The student of this teacher, before any weights are looked at.

        Args:
            teacher: the teacher's configuration.
            init: None means ``"layers"`` for a student of the teacher's width, heads and feed-forward,
                ``"slice"`` for one with fewer neurons, and ``"pca"`` for a narrower one.

        Raises:
            ConfigError: a size that no model has, or that this teacher or this beginning does not give.
        """
        sizes = self._sizes(teacher)
        wanted = {
            name: (size, getattr(teacher, name))
            for name, size in sizes.items()
            if size != getattr(teacher, name)
        }
        inside = [name for name in wanted if name != "max_position_embeddings"]
        if init is None:
            init = "pca" if "dim" in inside else "slice" if inside else "layers"
        if init not in get_args(Init):
            raise ConfigError(
                f"A student begins in one of the ways {', '.join(get_args(Init))}.",
                received=f"{init!r:.80}",
                remedy="Choose one of them.",
            )
        if init == "random":
            depth = self.layers if isinstance(self.layers, int | np.integer) else len(self.layers)
            config = student_config(
                teacher, layers=(), n_layers=rules.integer(1)("layers", depth), **sizes, pruned_heads={}
            )
            return StudentPlan(config, (), init)
        layers = choose_layers(self.layers, of=teacher.n_layers, take=self.take)
        _require_narrower(teacher, wanted)
        if init == "layers" and inside:
            raise ConfigError(
                "A student that takes layers as they are has its teacher's sizes.",
                received=_listed({name: wanted[name] for name in inside}),
                remedy="Choose slice or pca, which make them narrower.",
            )
        pruned = [layer for layer in sorted(set(layers)) if teacher.pruned_heads.get(layer)]
        if pruned and {"dim", "n_heads"} & set(inside):
            raise ConfigError(
                "A student narrower than its teacher is cut from layers that have all their heads.",
                received=f"pruned heads in layers {', '.join(map(str, pruned))} of the teacher",
                remedy="Keep its width and heads, name other layers, or begin at random.",
            )
        config = student_config(teacher, layers=layers, **sizes)
        if config.dim // config.n_heads > teacher.dim // teacher.n_heads:
            raise ConfigError(
                "The heads of a student may not be wider than its teacher's.",
                received=f"n_heads={config.n_heads}, dim={config.dim}, heads of "
                f"{config.dim // config.n_heads} in place of {teacher.dim // teacher.n_heads}",
                remedy="Choose more heads, a smaller width, or begin at random.",
            )
        return StudentPlan(config, layers, init)

    def _sizes(self, teacher: EncoderConfig) -> dict[str, int]:
        lowest = {"dim": 1, "n_heads": 1, "hidden_dim": 1, "positions": 3}
        given = {
            name: rules.integer(low)(name, getattr(self, name))
            for name, low in lowest.items()
            if getattr(self, name) is not None
        }
        dim = given.get("dim", teacher.dim)
        head_width = teacher.dim // teacher.n_heads
        return {
            "dim": dim,
            "n_heads": given.get("n_heads", teacher.n_heads if dim % head_width else dim // head_width),
            "hidden_dim": given.get("hidden_dim", max(1, teacher.hidden_dim * dim // teacher.dim)),
            "max_position_embeddings": given.get("positions", teacher.max_position_embeddings),
        }


def student_config(teacher: EncoderConfig, *, layers: Sequence[int], **changes: Any) -> DistilBertConfig:
    """The configuration of a student with the teacher's sizes and rates and these of its layers.

    Args:
        teacher: the teacher's configuration.
        layers: the teacher's layers that it begins with.
        **changes: fields in place of the teacher's.
    """
    fields = {
        "vocab_size": teacher.vocab_size,
        "max_position_embeddings": teacher.max_position_embeddings,
        # The positions are the teacher's, learned ones; a sinusoidal flag would freeze or replace them.
        "sinusoidal_pos_embds": False,
        "n_layers": len(layers),
        "n_heads": teacher.n_heads,
        "dim": teacher.dim,
        "hidden_dim": teacher.hidden_dim,
        "dropout": teacher.dropout,
        "attention_dropout": teacher.attention_dropout,
        "activation": teacher.activation,
        "initializer_range": teacher.initializer_range,
        "pad_token_id": teacher.pad_token_id,
        "pruned_heads": {i: teacher.pruned_heads.get(layer, []) for i, layer in enumerate(layers)},
        "tie_word_embeddings": teacher.tie_word_embeddings,
    }
    return DistilBertConfig(**{**fields, **changes})


def draw(config: EncoderConfig, rng: np.random.Generator, head: Head = Head.MASKED_LM) -> Arrays:
    """The arrays of a model with a head at random: N(0, ``initializer_range``), zeros and ones.

    They are those of a new model of a wing's, by another generator.
    """
    arrays: Arrays = {}
    for parameter in manifest(config, head):
        if parameter.tied_to:
            continue
        if parameter.role in (Role.KERNEL, Role.EMBEDDING):
            noise = rng.standard_normal(parameter.shape, np.float32)
            arrays[parameter.key] = noise * np.float32(config.initializer_range)
        else:
            start = 1.0 if parameter.role is Role.NORM_SCALE else 0.0
            arrays[parameter.key] = np.full(parameter.shape, start, np.float32)
        if parameter.key.endswith(WORD_EMBEDDINGS):
            arrays[parameter.key][config.pad_token_id] = 0.0
    return arrays


def _require_narrower(teacher: EncoderConfig, wanted: dict[str, tuple[int, int]]) -> None:
    if wider := {name: sizes for name, sizes in wanted.items() if sizes[0] > sizes[1]}:
        raise ConfigError(
            "A student that begins with its teacher's weights is nowhere wider than it.",
            received=_listed(wider),
            remedy="Choose smaller sizes, or begin at random.",
        )


def _listed(sizes: dict[str, tuple[int, int]]) -> str:
    return ", ".join(f"{name}={size} of a teacher's {whole}" for name, (size, whole) in sizes.items())
