"""Students that a model can be cut into, by depth, width and vocabulary, and what each is untrained."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core import parameters
from distilbert.core.checkpoint import read_weights, write_weights
from distilbert.core.config import EncoderConfig, read_config
from distilbert.core.files import FACTS_FILE, write_json
from distilbert.core.model_folders import open_folder
from distilbert.core.output import new_folder
from distilbert.core.progress import Progress, silent
from distilbert.core.sentence_folders import encoder_folder
from distilbert.core.students import draw
from distilbert.core.surgery import shrink
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.trimming import trim
from distilbert.core.weight_files import Arrays
from distilbert.errors import ConfigError

#: Of a depth and of a width, what is proposed; half the layers is the published choice (Sanh et al. 2019).
_DEPTHS, _WIDTHS = (1.0, 2 / 3, 1 / 2, 1 / 3, 1 / 6), (1.0, 1 / 2)

#: A vocabulary is trimmed where that takes at least so many of its tokens away.
_WORTH = 0.1

#: The type that a finished folder's weights have: half the room, and what is judged is the folder as it is.
DTYPE = "float16"


@dataclass(frozen=True)
class Shape:
    """A student's sizes.

    Attributes:
        layers: how many.
        dim: how wide its states are.
        vocabulary: "whole", or "trimmed" to the text.
    """

    layers: int
    dim: int
    vocabulary: str

    @property
    def name(self) -> str:
        return f"{self.layers} x {self.dim} {self.vocabulary}"

    @property
    def slug(self) -> str:
        """A name for its folder."""
        return self.name.replace(" ", "-")


def shapes(
    config: EncoderConfig,
    *,
    trimmed: bool,
    layers: Collection[int] | None = None,
    dims: Collection[int] | None = None,
) -> list[Shape]:
    """What to propose, the largest first.

    Args:
        config: of the model that students are cut from.
        trimmed: whether a trimmed vocabulary is worth it; then both are proposed.
        layers, dims: instead of the usual shares of the model's own.

    Raises:
        ConfigError: sizes that the model does not give.
    """
    depths = layers or {max(1, round(share * config.n_layers)) for share in _DEPTHS}
    width = config.dim // config.n_heads
    narrower = {int(share * config.dim) for share in _WIDTHS}
    # Heads keep their width: what they see in a text would otherwise be cut, too.
    widths = dims or {dim for dim in narrower if dim and dim % width == 0}
    for name, wanted, most in (("layers", depths, config.n_layers), ("dim", widths, config.dim)):
        if beyond := [size for size in wanted if not 1 <= size <= most]:
            raise ConfigError(
                "A student is cut from a model that is nowhere smaller.",
                received=f"{name} {', '.join(map(str, sorted(beyond)))} of a model of {most}",
                remedy="Name smaller sizes, or leave them out.",
            )
    vocabularies = ("whole", "trimmed") if trimmed else ("whole",)
    return [
        Shape(depth, dim, vocabulary)
        for depth in sorted(depths, reverse=True)
        for dim in sorted(widths, reverse=True)
        for vocabulary in vocabularies
    ]


def require_cuttable(base: str | Path) -> EncoderConfig:
    """The configuration of a model that students are cut from.

    Raises:
        ConfigError: it is none of BERT or DistilBERT.
        CheckpointError: the folder cannot be read.
    """
    return read_config(encoder_folder(Path(base)))


class Beginnings:
    """What candidates are before they learn, each made once in a folder of its own.

    Args:
        base: a BERT or DistilBERT on this machine, with whatever head.
        texts: that the vocabulary is trimmed to; a fresh iteration each time.
        work: where the folders go.
        seed: of what is drawn.
        progress: told of texts that are read.
    """

    def __init__(
        self, base: Path, texts: Sequence[str], work: Path, *, seed: int = 0, progress: Progress = silent
    ) -> None:
        self._base, self._texts, self._work = base, texts, work
        self._seed, self._progress = seed, progress

    def trimmed(self) -> Path:
        """The model that students are cut from, with the tokens that texts use.

        Pieces of one character stay, used or not: no word that is spelled with known letters becomes unknown.
        """
        folder = self._work / "trimmed"
        if not folder.exists():
            place = encoder_folder(self._base)
            tokenizer = DistilBertTokenizerFast.from_pretrained(place)
            trim(
                place, self._texts, out=folder, keep=_letters(tokenizer.get_vocab()), progress=self._progress
            )
        return folder

    def worth_trimming(self) -> bool:
        """Whether enough of the vocabulary is never used."""
        before, after = (read_config(place).vocab_size for place in (self._whole(), self.trimmed()))
        return after <= (1 - _WORTH) * before

    def folder(self, shape: Shape) -> Path:
        """A candidate's folder: an encoder, cut and not trained, and a head that its task replaces."""
        folder = self._work / "begun" / shape.slug
        if not folder.exists():
            base = self.trimmed() if shape.vocabulary == "trimmed" else self._whole()
            config = read_config(base)
            dim = None if shape.dim == config.dim else shape.dim
            shrink(
                base,
                layers=shape.layers,
                dim=dim,
                out=folder,
                texts=list(self._texts[:64]),
                seed=self._seed,
                new_head=True,
            )
        return folder

    def answering(self, shape: Shape, task: Any, *, max_length: int) -> Path:
        """The same with a task's head at random, as a finished folder will be: for its size and speed."""
        folder = self._work / "untrained" / shape.slug
        if not folder.exists():
            source = self.folder(shape)
            config, _ = open_folder(source)
            task.configure(config)
            drawn = draw(config, np.random.default_rng(self._seed), task.head)
            with_head(source, folder, task, drawn, max_length=max_length, dtype=DTYPE)
        return folder

    def _whole(self) -> Path:
        return encoder_folder(self._base)


def with_head(source: Path, out: Path, task: Any, head: Arrays, *, max_length: int, dtype: str) -> None:
    """Write a folder's encoder with a head of a task.

    Args:
        source: the folder.
        out: the new one.
        task: whose head it is.
        head: arrays by key; those of the encoder are the folder's.
        max_length: tokens of a text.
        dtype: of all arrays.
    """
    config, tokenizer = open_folder(source)
    task.configure(config)
    config.architectures, config.dtype = ["DistilBertForSequenceClassification"], dtype
    whole = parameters.parameters_of(task.head, config)
    arrays, report = read_weights(source, whole, config)
    arrays |= {key: head[key] for key in report.missing}
    with new_folder(out) as place:
        config.save_pretrained(place)
        write_weights(place, {key: one.astype(dtype) for key, one in arrays.items()}, whole)
        tokenizer.save_pretrained(place, tokenizer_class="DistilBertTokenizer")
        longest = min(max_length, config.max_position_embeddings)
        write_json(place / FACTS_FILE, {"task": task.facts(), "max_length": longest})


def _letters(vocabulary: Iterable[str]) -> list[str]:
    return [token for token in vocabulary if len(token.removeprefix("##")) == 1]


def is_beaten(shape: Shape, among: Sequence[Shape]) -> bool:
    """Whether another one is as fast and smaller: the same, with the vocabulary trimmed."""
    return shape.vocabulary == "whole" and replace(shape, vocabulary="trimmed") in among
