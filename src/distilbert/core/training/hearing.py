"""Who is listened to in a run of hidden words, where every model is of our own and has one vocabulary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilbert.core.config import EncoderConfig
from distilbert.core.copies import fingerprint
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.surgery import require_language_model
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.vocabularies import speaks
from distilbert.errors import ConfigError

#: A wing's masked language model out of a folder, of its configuration, and the keys that the folder lacks.
OpenModel = Callable[[Path, EncoderConfig], tuple[Any, tuple[str, ...]]]


@dataclass(frozen=True, eq=False)
class Teacher:
    """One who is listened to.

    Attributes:
        model: tells hidden words.
        tokenizer: its own.
        weight: how much it is listened to beside the others.
        name: what a sentence calls it.
        reading: None: it reads the student's tokens.
    """

    model: Any
    tokenizer: DistilBertTokenizerFast
    weight: float = 1.0
    name: str = "The teacher"
    reading: None = None

    @property
    def width(self) -> int:
        """D of its states."""
        return int(self.model.config.dim)

    @property
    def longest(self) -> int:
        """Tokens of the longest row that it reads."""
        return int(self.model.config.max_position_embeddings)

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` says of it."""
        config = self.model.config
        said = {"model_type": config.model_type, "n_layers": config.n_layers}
        return {**said, "weights": fingerprint(self.model.arrays())}


def open_teachers(
    places: Sequence[str | Path], weights: Sequence[float], open_model: OpenModel
) -> list[Teacher]:
    """Teachers, each with its tokenizer.

    Args:
        places: their folders, or their names on a hub.
        weights: how much each is listened to.
        open_model: opens one.

    Raises:
        CheckpointError: a folder cannot be read.
        ConfigError: a teacher of another family, or without its head.
    """
    teachers = []
    for number, (place, weight) in enumerate(zip(places, weights, strict=True), start=1):
        folder = local_folder(place)
        config, tokenizer = open_folder(folder)
        model, missing = open_model(folder, config)
        require_language_model(folder, missing, config)
        name = "The teacher" if len(places) == 1 else f"Teacher {number} ({place})"
        teachers.append(Teacher(model, tokenizer, weight, name))
    return teachers


def refuse_other_vocabularies(
    teachers: Sequence[Teacher], tokenizer: DistilBertTokenizerFast, *, wing: str
) -> None:
    """Refuse a teacher to whom the student's ids mean something else.

    Raises:
        ConfigError: there is one.
    """
    for teacher in teachers:
        own = teacher.tokenizer
        if not speaks(own, tokenizer):
            raise ConfigError(
                f"In {wing} teacher and student have one vocabulary.",
                received=f"{teacher.name} with {len(own)} tokens, other ones than the student's "
                f"{len(tokenizer)}",
                remedy="Choose models of one vocabulary, or leave --backend out.",
            )
