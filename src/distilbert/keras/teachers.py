"""Teachers out of their folders, each with its tokenizer."""

from collections.abc import Sequence
from pathlib import Path

from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.surgery import require_language_model
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.vocabularies import speaks
from distilbert.errors import ConfigError
from distilbert.keras.folders import open_language_model
from distilbert.keras.hearing import Teacher


def open_teachers(
    places: Sequence[str | Path], weights: Sequence[float], *, device: str, policy: str
) -> list[Teacher]:
    """Teachers, each with its tokenizer.

    Args:
        places: their folders, or their names on a hub.
        weights: how much each is listened to.
        device: that they are to lie on.
        policy: by which they compute.

    Raises:
        CheckpointError: a folder cannot be read.
        ConfigError: a teacher of another family, or without its head.
    """
    teachers = []
    for number, (place, weight) in enumerate(zip(places, weights, strict=True), start=1):
        folder = local_folder(place)
        config, tokenizer = open_folder(folder)
        model, missing = open_language_model(folder, config, device=device, policy=policy)
        require_language_model(folder, missing, config)
        name = "The teacher" if len(places) == 1 else f"Teacher {number} ({place})"
        teachers.append(Teacher(model, weight, name, tokenizer))
    return teachers


def refuse_other_vocabularies(teachers: Sequence[Teacher], tokenizer: DistilBertTokenizerFast) -> None:
    """Refuse a teacher to whom the student's ids mean something else.

    Raises:
        ConfigError: there is one.
    """
    for teacher in teachers:
        own = teacher.tokenizer
        if own is not None and not speaks(own, tokenizer):
            raise ConfigError(
                "In Keras teacher and student have one vocabulary.",
                received=f"{teacher.name} with {len(own)} tokens, other ones than the student's "
                f"{len(tokenizer)}",
                remedy="Choose models of one vocabulary, or leave --backend out.",
            )
