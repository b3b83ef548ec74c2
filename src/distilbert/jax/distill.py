"""Distillation during pre-training: a teacher and text in, a student of half the depth out."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax

from distilbert.core.data.answers import Answers
from distilbert.core.data.corpus import Corpus
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.beginnings import Beginning, of_folder, of_teacher
from distilbert.core.training.findings import Finding
from distilbert.core.training.hearing import OpenModel, Teacher, open_teachers, refuse_other_vocabularies
from distilbert.core.training.student_trainer import StudentTrainer
from distilbert.core.training.word_findings import examine
from distilbert.errors import ConfigError
from distilbert.jax.device import dtype_of
from distilbert.jax.doctor import of_all
from distilbert.jax.folders import masked_language_model, open_language_model
from distilbert.jax.language_modelling import MaskedWords
from distilbert.jax.runs import JAX


class Distiller(StudentTrainer):
    """Makes a student of a teacher (Sanh et al. 2019).

    Args:
        teacher: a BERT or DistilBERT with its masked-language-model head: a folder, or its name on a hub. Or
            several: the student is cut from the first, and each term is the weighted mean of what it is with
            each of them.
        teacher_weights: one positive number for each teacher, of which only the ratios count. None listens
            to all alike.
        layers: how many of its layers the student keeps, or which.
        take, dim, n_heads, hidden_dim, positions: the student's other sizes, as ``StudentShape`` has them.
        init: where its first weights come from: "layers", "slice", "pca" or "random". None chooses as
            ``StudentShape.plan`` does.
        student: a model to begin with, in place of all these: a BERT or DistilBERT's folder or name.
        tokenizer: a folder with a vocabulary for the student, for one that learns from ``answers``.
        vocabulary: "same": teachers have the student's.
        answers: a folder that ``ask`` has written: the teacher's distributions are read there, and the
            teacher itself gives the student's first weights and nothing else.
        recipe: a ``LanguageModelling``, its name, or a file.
        device: "auto", or a platform of JAX: "cpu", "gpu" or "tpu".
        progress: told of every stage.
    """

    wing = JAX

    def _open_teachers(self, device: Any) -> list[Teacher]:
        if self.vocabulary != "same":
            raise ConfigError(
                "Teachers of other vocabularies are heard in PyTorch.",
                received=f"vocabulary={self.vocabulary} for JAX",
                remedy="Leave it out, or leave --backend out.",
            )
        return open_teachers(self.teachers, self.teacher_weights, self._opening(device))

    def _opening(self, device: Any, seed: int = 0) -> OpenModel:
        dtype = dtype_of(device, self.recipe.precision)
        return partial(open_language_model, device=device, dtype=dtype, seed=seed)

    def _begin(self, teacher: Teacher, device: Any) -> Beginning:
        seed = self.recipe.seed
        if self.student is not None:
            return of_folder(self.student, self._opening(device, seed))
        assert self.shape is not None
        dtype = dtype_of(device, self.recipe.precision)
        new = partial(masked_language_model, dtype=dtype, _do_init=False)
        return of_teacher(teacher, self.shape, init=self.init, tokenizer=self.tokenizer, seed=seed, new=new)

    def _with_readings(self, teachers: list[Teacher], tokenizer: DistilBertTokenizerFast) -> list[Teacher]:
        if self.answers is None:
            refuse_other_vocabularies(teachers, tokenizer, wing=self.wing.name)
        return teachers

    def _placed(self, student: Any, device: Any) -> Any:
        student._assign(jax.device_put(student._leaves(), device))
        return student

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
        return MaskedWords(
            student, teachers, data, tokenizer, self.recipe, held_out=held_out, answers=answers
        )

    def _examine(self, objective: MaskedWords, tokenizer: DistilBertTokenizerFast) -> Sequence[Finding]:
        return examine(objective, tokenizer, of_all)
