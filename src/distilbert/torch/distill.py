"""Distillation during pre-training: a teacher and text in, a student of half the depth out.

And ``Pretrainer``: the same run without a teacher, which makes teachers and is the control.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from distilbert.core.config import EncoderConfig
from distilbert.core.data.answers import Answers
from distilbert.core.data.corpus import Corpus
from distilbert.core.data.hidden_words import corpus_of
from distilbert.core.data.texts import Source
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder, require_embeddings
from distilbert.core.parameters import POSITION_EMBEDDINGS, base_prefix
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import LanguageModelling
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.beginnings import Beginning, of_folder
from distilbert.core.training.findings import Finding
from distilbert.core.training.student_trainer import StudentTrainer, held_out_of, job
from distilbert.core.training.text_trainer import TextTrainer
from distilbert.core.training.wing import Job
from distilbert.core.weight_files import has_weights
from distilbert.errors import CheckpointError, ConfigError
from distilbert.torch.beginnings import of_teacher
from distilbert.torch.folders import masked_language_model, open_language_model
from distilbert.torch.hearing import Teacher
from distilbert.torch.language_modelling import MaskedWords
from distilbert.torch.randomness import seeded
from distilbert.torch.runs import TORCH
from distilbert.torch.teachers import open_teachers, with_readings
from distilbert.torch.word_findings import examine


class Distiller(StudentTrainer):
    """Makes a student of a teacher (Sanh et al. 2019).

    Args:
        teacher: a BERT or DistilBERT with its masked-language-model head: a folder, or its name on a hub; or
            with ``transformers`` one of its families'. Or several: the student is cut from the first, and
            each term is the weighted mean of what it is with each of them.
        teacher_weights: one positive number for each teacher, of which only the ratios count. None listens
            to all alike.
        layers: how many of its layers the student keeps, or which.
        take, dim, n_heads, hidden_dim, positions: the student's other sizes, as ``StudentShape`` has them.
        init: where its first weights come from: "layers", "slice", "pca" or "random". None chooses as
            ``StudentShape.plan`` does.
        student: a model to begin with, in place of all these: a BERT or DistilBERT's folder or name.
        tokenizer: a folder with a vocabulary for the student. Tokens that the teacher has too begin with its
            rows, others as the mean of all its rows.
        vocabulary: of teachers: "same" as the student's, or "shared": those of another one read the text
            their own way, and are heard about tokens that stand for the same characters and are words of
            both; both models' distributions are over the words that both have.
        answers: a folder that ``ask`` has written: the teacher's distributions are read there, and the
            teacher itself gives the student's first weights and nothing else.
        recipe: a ``LanguageModelling``, its name, or a file.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every stage.
    """

    wing = TORCH

    def _open_teachers(self, device: torch.device) -> list[Teacher]:
        return open_teachers(self.teachers, self.teacher_weights, device=device)

    def _begin(self, teacher: Teacher, device: torch.device) -> Beginning:
        if self.student is not None:
            return of_folder(self.student, partial(open_language_model, device=device))
        assert self.shape is not None
        seed = self.recipe.seed
        return of_teacher(teacher, self.shape, init=self.init, tokenizer=self.tokenizer, seed=seed)

    def _with_readings(self, teachers: list[Teacher], tokenizer: DistilBertTokenizerFast) -> list[Teacher]:
        return with_readings(teachers, tokenizer, shared=self.vocabulary == "shared")

    def _placed(self, student: Any, device: torch.device) -> Any:
        return student.to(device)

    def _objective(
        self,
        student: Any,
        teachers: list[Teacher],
        data: Corpus,
        tokenizer: DistilBertTokenizerFast,
        *,
        held_out: int,
        answers: Answers | None,
    ) -> MaskedWords:
        if self.recipe.freeze_positions:
            key = base_prefix(student.config) + POSITION_EMBEDDINGS
            student.get_parameter(key).requires_grad_(False)
        return MaskedWords(
            student, teachers, data, tokenizer, self.recipe, held_out=held_out, answers=answers
        )

    def _examine(self, objective: MaskedWords, tokenizer: DistilBertTokenizerFast) -> Sequence[Finding]:
        return examine(objective, tokenizer)


#: What a new model is begun with.
_NEW = "--tokenizer DIR and its sizes, such as --layers 6 (config=DistilBertConfig(...), tokenizer=DIR)"


class Pretrainer(TextTrainer):
    """Teaches a model to tell hidden words of a text; gives it the head for that where it has none.

    Args:
        model: a BERT or DistilBERT: a folder, or its name on a hub.
        config: of a new model, in place of ``model``: its weights are drawn by the recipe's seed.
        tokenizer: of that new model: a folder with a vocabulary.
        recipe: a ``LanguageModelling``, its name, or a file; what it says of a teacher is not used. None is
            "adapt" for a model that there is, and "default" for a new one.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every stage.
    """

    wing = TORCH

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        config: EncoderConfig | None = None,
        tokenizer: str | Path | None = None,
        recipe: LanguageModelling | str | Path | None = None,
        device: str = "auto",
        progress: Progress = silent,
    ) -> None:
        given = [name for name, value in (("config", config), ("tokenizer", tokenizer)) if value is not None]
        if len(given) != (2 if model is None else 0):
            raise ConfigError(
                "A model that learns is one that there is, or a new one of a configuration and a tokenizer.",
                received=", ".join([*["model"] * (model is not None), *given]) or "none of these",
                remedy=f"Give --model DIR; or for a new one {_NEW}.",
            )
        super().__init__(recipe or ("default" if model is None else "adapt"), device, progress)
        self.model, self.config, self.tokenizer = model, config, tokenizer

    def _prepare(self, texts: Source, device: torch.device) -> Job:
        missing: tuple[str, ...] = ()
        if self.model is None:
            assert self.config is not None
            assert self.tokenizer is not None
            config, folder = self.config, local_folder(self.tokenizer)
            tokenizer = DistilBertTokenizerFast.from_pretrained(folder)
            require_embeddings(config, tokenizer, folder)
            with seeded(self.recipe.seed):  # in every process the same
                model = masked_language_model(config).to(device)
        else:
            folder = local_folder(self.model)
            try:
                config, tokenizer = open_folder(folder)
                model, missing = open_language_model(folder, config, device=device)
            except CheckpointError as error:
                if has_weights(folder):
                    raise
                raise CheckpointError(
                    error.rule,
                    received=error.received,
                    remedy="Choose a folder that a training or saving command has written, or begin a new "
                    f"model: {_NEW}.",
                ) from None
        data = corpus_of(texts, tokenizer, config, self.recipe, self.progress)
        facts: dict[str, Any] = {"made_by": "pretrain", "new_weights": list(missing)}
        if self.model is None:
            facts["begun"] = "from scratch"
        held_out = held_out_of(self.recipe, data)
        objective = MaskedWords(model, [], data, tokenizer, self.recipe, held_out=held_out)
        found = partial(examine, objective, tokenizer)
        return job("learn hidden words", objective, facts, found, new_weights=missing)
