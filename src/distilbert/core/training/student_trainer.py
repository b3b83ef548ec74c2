"""Distillation during pre-training, all of it but a wing's own: a teacher and text in, a student out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distilbert.core import rules
from distilbert.core.data.answers import Answers
from distilbert.core.data.corpus import Corpus
from distilbert.core.data.hidden_words import corpus_of
from distilbert.core.data.spelled import SpelledCorpus
from distilbert.core.data.texts import Source
from distilbert.core.layers import Take
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import LanguageModelling
from distilbert.core.students import Init, StudentShape
from distilbert.core.teachers.several import named, shares
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.beginnings import Beginning
from distilbert.core.training.findings import Finding
from distilbert.core.training.masked_words import HiddenWords
from distilbert.core.training.text_trainer import TextTrainer
from distilbert.core.training.wing import Job
from distilbert.errors import ConfigError

#: Of so many sequences at most one is held out.
_LEAST_LEARNT = 20


class StudentTrainer(TextTrainer):
    """Makes a student of a teacher (Sanh et al. 2019). Abstract: a wing's ``Distiller`` says what is its own.

    The arguments are that class's.
    """

    def __init__(
        self,
        teacher: str | Path | Sequence[str | Path],
        *,
        teacher_weights: Sequence[float] | None = None,
        layers: int | Sequence[int] | None = None,
        take: Take | None = None,
        dim: int | None = None,
        n_heads: int | None = None,
        hidden_dim: int | None = None,
        positions: int | None = None,
        init: Init | None = None,
        student: str | Path | None = None,
        tokenizer: str | Path | None = None,
        vocabulary: str = "same",
        answers: str | Path | None = None,
        recipe: LanguageModelling | str | Path = "default",
        device: str = "auto",
        progress: Progress = silent,
    ) -> None:
        super().__init__(recipe, device, progress)
        self.teachers = named(teacher)
        self.teacher_weights = shares(teacher_weights, len(self.teachers))
        sizes = (layers, take, dim, n_heads, hidden_dim, positions)
        if student is None and layers is None:
            raise ConfigError(
                "A student has a number of layers, or is a model that there is.",
                received="neither",
                remedy="Give --layers N, or --student DIR.",
            )
        if student is not None and any(x is not None for x in (*sizes, init, tokenizer)):
            raise ConfigError(
                "A student that is a model already has its layers, sizes, weights and tokenizer.",
                received=f"student={student} and another choice of these",
                remedy="Leave the others out.",
            )
        self.shape = None if layers is None else StudentShape(layers, *sizes[1:])
        self.init = init
        self.student = student
        self.tokenizer = tokenizer
        self.vocabulary = rules.one_of(("same", "shared"))("vocabulary", vocabulary)
        self.answers = answers
        if answers is not None and len(self.teachers) > 1:
            raise ConfigError(
                "Answers that were kept are of one teacher.",
                received=f"answers with {len(self.teachers)} teachers",
                remedy="Name the teacher that was asked, or leave the answers out.",
            )

    def _prepare(self, texts: Source, device: Any) -> Job:
        recipe = self.recipe
        teachers = self._open_teachers(device)
        first = teachers[0]
        begun = self._begin(first, device)
        answers = None if self.answers is None else Answers(self.answers)
        teachers = self._with_readings(teachers, begun.tokenizer)
        facts = {"made_by": "distill", "teacher": first.facts(), **begun.facts}
        if len(teachers) > 1:
            facts["teachers"] = [{**teacher.facts(), "weight": teacher.weight} for teacher in teachers]
        if any(teacher.reading for teacher in teachers):
            facts["vocabulary"] = self.vocabulary
        if answers is not None:
            facts["answers"] = {"teacher": answers.facts["teacher"], "top": answers.top}
            teachers = []
        kind = SpelledCorpus if any(teacher.reading for teacher in teachers) else Corpus
        longest = [t.longest for t in teachers if t.reading is None]
        recipe = recipe.with_changes(max_length=min([recipe.max_length, *longest]))
        data = corpus_of(texts, begun.tokenizer, begun.config, recipe, self.progress, kind=kind)
        student = self._placed(begun.make(data), device)
        held_out = held_out_of(self.recipe, data)
        objective = self._objective(
            student, teachers, data, begun.tokenizer, held_out=held_out, answers=answers
        )
        return job(
            "distil",
            objective,
            facts,
            lambda: self._examine(objective, begun.tokenizer),
            new_weights=begun.new_weights,
        )

    def _open_teachers(self, device: Any) -> list[Any]:
        """The teachers, each with its tokenizer."""
        raise NotImplementedError

    def _begin(self, teacher: Any, device: Any) -> Beginning:
        """The student before it learns: what ``student`` names, or cut from its first teacher."""
        raise NotImplementedError

    def _with_readings(self, teachers: list[Any], tokenizer: DistilBertTokenizerFast) -> list[Any]:
        """The same, each that has another vocabulary than the student with its own way to read."""
        raise NotImplementedError

    def _placed(self, student: Any, device: Any) -> Any:
        """The student on the device."""
        raise NotImplementedError

    def _objective(
        self,
        student: Any,
        teachers: list[Any],
        data: Corpus,
        tokenizer: DistilBertTokenizerFast,
        *,
        held_out: int,
        answers: Answers | None,
    ) -> Any:
        """What is learnt; with ``freeze_positions`` the table of positions does not learn."""
        raise NotImplementedError

    def _examine(self, objective: Any, tokenizer: DistilBertTokenizerFast) -> Sequence[Finding]:
        """What is likely wrong with the run."""
        raise NotImplementedError


def held_out_of(recipe: LanguageModelling, data: Corpus) -> int:
    """How many sequences are only judged by."""
    return min(recipe.held_out, len(data) // _LEAST_LEARNT)


def job(
    stage: str,
    objective: HiddenWords,
    facts: dict[str, Any],
    examine: Callable[[], Sequence[Finding]],
    new_weights: tuple[str, ...] = (),
) -> Job:
    """A run of hidden words that is ready to start.

    Args:
        stage: its name.
        objective: what is learnt.
        facts: what is known of it.
        examine: says what is likely wrong with it.
        new_weights: keys of parameters that the folder did not have.
    """
    data, recipe = objective.data, objective.recipe
    return Job(
        stage,
        objective.model,
        objective.tokenizer,
        objective,
        recipe,
        recipe.total_steps(len(objective.learnt), tokens=int(data.lengths.sum())),
        new_weights,
        facts={**facts, "text": data.facts()},
        examine=examine,
    )
