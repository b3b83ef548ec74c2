"""Teachers out of their folders: how much each is listened to, and in which words."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from distilbert.core.data.reading import Reading
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.surgery import require_language_model
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.vocabularies import shared_tokens, speaks
from distilbert.errors import ConfigError
from distilbert.torch.folders import open_language_model
from distilbert.torch.foreign import ForeignLanguageModel, is_foreign, open_foreign_language_model
from distilbert.torch.foreign_tokenizer import ForeignTokenizer
from distilbert.torch.heads import MaskedLanguageModel
from distilbert.torch.hearing import Teacher


def open_teachers(
    places: Sequence[str | Path], weights: Sequence[float], *, device: torch.device
) -> list[Teacher]:
    """Teachers, each with its tokenizer.

    Raises:
        CheckpointError: a folder cannot be read.
        ConfigError: a teacher without its head.
        MissingExtraError: a teacher of another family, and ``transformers`` is not installed.
    """
    teachers = []
    for number, (place, weight) in enumerate(zip(places, weights, strict=True), start=1):
        folder = local_folder(place)
        model: MaskedLanguageModel | ForeignLanguageModel
        tokenizer: DistilBertTokenizerFast | ForeignTokenizer
        if is_foreign(folder):
            model, tokenizer = open_foreign_language_model(folder, device=device)
        else:
            config, tokenizer = open_folder(folder)
            model, missing = open_language_model(folder, config, device=device)
            require_language_model(folder, missing, config)
        name = "The teacher" if len(places) == 1 else f"Teacher {number} ({place})"
        teachers.append(Teacher(model, weight, name, tokenizer))
    return teachers


def with_readings(
    teachers: Sequence[Teacher], tokenizer: DistilBertTokenizerFast, *, shared: bool
) -> list[Teacher]:
    """The same, each that has another vocabulary than the student with its own way to read.

    Args:
        teachers: as ``open_teachers`` gives them.
        tokenizer: the student's.
        shared: whether such teachers are to be compared where vocabularies agree.

    Raises:
        ConfigError: there is one, and it is not to be; or nothing in common.
    """
    return [_with_reading(teacher, tokenizer, shared=shared) for teacher in teachers]


def _with_reading(teacher: Teacher, tokenizer: DistilBertTokenizerFast, *, shared: bool) -> Teacher:
    own = teacher.tokenizer
    if own is None or _speaks(own, tokenizer):
        return teacher
    vocabulary = own.get_vocab()
    if not shared:
        raise ConfigError(
            "Teacher and student must have one vocabulary, or be compared where theirs agree.",
            received=f"{teacher.name} with {len(vocabulary)} tokens, other ones than the student's "
            f"{len(tokenizer)}",
            remedy="Add --vocabulary shared (vocabulary='shared'), or choose models of one vocabulary.",
        )
    if isinstance(own, ForeignTokenizer):
        content = own.content()
    else:
        content = json.loads(own.backend_tokenizer.to_str())
    reading = Reading(
        _encoder(teacher, own),
        shared_tokens(tokenizer, vocabulary, content),
        int(own.mask_token_id or 0),
        tokenizer.mask_token_id,
    )
    return replace(teacher, reading=reading)


def _speaks(tokenizer: DistilBertTokenizerFast | ForeignTokenizer, student: DistilBertTokenizerFast) -> bool:
    """Whether a student's ids mean the same to a teacher."""
    theirs = tokenizer.backend if isinstance(tokenizer, ForeignTokenizer) else tokenizer
    return speaks(theirs, student, tokenizer.get_vocab())


def _encoder(teacher: Teacher, tokenizer: DistilBertTokenizerFast | ForeignTokenizer) -> Any:
    options: dict[str, Any] = {"return_offsets_mapping": True}
    if not isinstance(tokenizer, ForeignTokenizer):
        options |= {"truncation": True, "max_length": teacher.longest}

    def encode(texts: Sequence[str]) -> tuple[Any, Any]:
        rows = tokenizer(list(texts), **options)
        return rows["input_ids"], rows["offset_mapping"]

    return encode
