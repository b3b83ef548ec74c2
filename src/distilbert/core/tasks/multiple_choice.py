"""One of several options for each question, of which there may be any number."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.core.data.readers import Reader
from distilbert.core.data.sources import Row
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.reference import log_softmax
from distilbert.core.tasks.examples import Examples, Field, Numbered, as_text, find, gather, known_columns
from distilbert.core.tasks.metrics import Metric, accuracy
from distilbert.core.tasks.whole_texts import MeetsAtTexts
from distilbert.errors import ConfigError, DataError

#: Columns of the question, of what it is asked about, of the options and of the right one, as they are
#: looked for.
QUESTION_COLUMNS = ("question", "goal", "sent2", "text", "query")
CONTEXT_COLUMNS = ("context", "passage", "article", "premise", "sent1")
CHOICE_COLUMNS = ("choices", "options", "endings", "answers")
ANSWER_COLUMNS = ("answer", "label", "answerKey", "correct")

#: Options in columns of their own: ending0, choice_1, sol2, optionA.
_NUMBERED = re.compile(r"(?i)(?:choice|option|ending|sol|answer)_?(\d+|[A-H])")


@dataclass(frozen=True)
class Choice:
    """What a model says of one question.

    Attributes:
        answer: the option.
        index: its number, from 0.
        score: its probability.
        scores: the probability of each option, in order.
    """

    answer: str
    index: int
    score: float
    scores: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "scores": list(self.scores)}

    def __str__(self) -> str:
        return f"{self.index}\t{self.score:.4f}\t{self.answer}"


@dataclass(frozen=True)
class MultipleChoice(MeetsAtTexts):
    """The task of a folder; its head scores one option at a time, so that nothing is to be known of it."""

    name: ClassVar[str] = "multiple-choice"
    head: ClassVar[Head] = Head.MULTIPLE_CHOICE
    columns: ClassVar[tuple[str, ...]] = ("context", "question", "choices", "answer")
    inputs: ClassVar[tuple[str, ...]] = ("context", "question", "choices")
    target: ClassVar[str] = "answer"
    metrics: ClassVar[Mapping[str, Metric]] = {"accuracy": accuracy}

    @property
    def single(self) -> bool:
        """Whether an example is one text."""
        return False

    # Which columns it reads.

    @classmethod
    def fits(cls, rows: Numbered, wanted: Mapping[str, str]) -> bool:
        """Whether a table has options: a list of them, or several columns."""
        first = rows[0][1]
        if "choices" in wanted or len(_numbered(first)) > 1:
            return True
        return any(isinstance(first.get(name), list | dict) for name in CHOICE_COLUMNS if name != "answers")

    @classmethod
    def read(
        cls,
        rows: Numbered,
        *,
        source: str,
        columns: Mapping[str, str],
        labelled: bool = True,
        files: bool = True,
    ) -> Examples:
        """Examples of a table's rows: ``question``, ``choices``, ``answer``, and ``context`` where there is
        one.

        An answer is the number of an option from 0, its letter, or the option itself.

        Raises:
            DataError: a column that is not there, or a field that cannot be used.
        """
        known_columns(columns, cls.columns, task=cls.name)
        names = list(rows[0][1])

        def column(name: str, candidates: Sequence[str], what: str) -> str:
            others = [candidate for candidate in candidates if candidate != name]
            return find(
                names, (name, *others), wanted=columns.get(name), what=what, task=cls.name, source=source
            )

        fields = {}
        context = columns.get("context") or next((name for name in CONTEXT_COLUMNS if name in names), None)
        if context is not None:
            context = column("context", CONTEXT_COLUMNS, "what is asked about")
            fields["context"] = Field(context, _maybe_text, "A context must be a text.")
        question = column("question", QUESTION_COLUMNS, "the question")
        rule = "Every row must have a question." if context is None else "A question must be a text."
        fields["question"] = Field(question, as_text if context is None else _maybe_text, rule)
        several = _numbered(rows[0][1])
        choices = columns.get("choices")
        if choices is None and len(several) > 1 and not any(name in names for name in CHOICE_COLUMNS):
            choices = "choices"
            rows = [(number, {**row, choices: [row.get(name) for name in several]}) for number, row in rows]
            names = [*names, choices]
        choices = column("choices", CHOICE_COLUMNS, "the options")
        fields["choices"] = Field(choices, _options, "Every question must have at least two options.")
        if not labelled:
            return gather(cls.name, rows, fields, source=source, files=files)
        answer = column("answer", ANSWER_COLUMNS, "the right option")
        pairs = [(number, {**row, answer: (row.get(answer), row.get(choices))}) for number, row in rows]
        rule = "An answer must be the number of an option from 0, its letter, or the option itself."
        fields["answer"] = Field(answer, lambda given: _which(*given), rule)
        return gather(cls.name, pairs, fields, source=source, files=files)

    # How answers become targets and back.

    @classmethod
    def of(cls, examples: Examples) -> Self:
        """The task that examples set.

        Raises:
            DataError: the right option is always the same one.
        """
        answers = set(examples.columns["answer"])
        if len(examples) > 1 and len(answers) == 1:
            raise DataError(
                "Which option is the right one must differ from row to row.",
                received=f"option {answers.pop()} in all {len(examples)} rows of {examples.source}",
                remedy="Check that it is the column you meant: --columns answer=NAME",
            )
        return cls()

    def truth(self, examples: Examples, *, source: str) -> Array:
        """What is true, [rows]."""
        return np.array(examples.columns["answer"], np.int64)

    def targets(self, examples: Examples, rows: TokenRows, *, source: str) -> list[Array]:
        """What each item is to be told: the number of the right option, or that it is unknown."""
        return [np.array(n) for n in examples.columns.get("answer", [IGNORED_LABEL] * len(examples))]

    # How examples become rows, and logits answers.

    def encode(self, reader: Reader, examples: Examples, *, max_length: int) -> TokenRows:
        """A row for each option: the context, then question and option; without a context the question, then
        it.
        """
        firsts, seconds, sizes = [], [], []
        for context, question, choices in examples.rows("context", "question", "choices"):
            sizes.append(len(choices))
            firsts += [context or question] * len(choices)
            seconds += [f"{question} {choice}" if context and question else choice for choice in choices]
        return reader.rows(firsts, seconds, max_length=max_length).grouped(sizes)

    def answers(
        self, logits: Sequence[Array], examples: Examples, rows: TokenRows | None = None
    ) -> list[Choice]:
        """What the logits of each question's options say."""
        answers = []
        for row, choices in zip(logits, examples.columns["choices"], strict=True):
            scores = np.exp(log_softmax(np.asarray(row, np.float64)[None]))[0]
            best = int(scores.argmax())
            answers.append(Choice(choices[best], best, float(scores[best]), tuple(scores.tolist())))
        return answers

    def told(self, logits: Sequence[Array], examples: Examples, rows: TokenRows | None = None) -> Array:
        """The answers as the metrics take them: numbers of options [rows]."""
        return np.array([int(np.argmax(row)) for row in logits])

    # What a folder knows of it.

    def configure(self, config: EncoderConfig) -> None:
        """Nothing: the head has one output, whatever the configuration says of labels."""

    def has_head(self, config: EncoderConfig) -> bool:
        """Whether a head of that configuration scores options: any does."""
        return True

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` remembers of the task."""
        return {"name": self.name}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        return cls()

    @classmethod
    def from_config(cls, config: EncoderConfig, facts: Mapping[str, Any], *, folder: object) -> Self:
        """The task of a folder."""
        return cls()

    def matching(self, other: Any) -> list[int]:
        """The order in which another model's logits are this one's, which the options decide.

        Raises:
            ConfigError: it does not choose.
        """
        if not isinstance(other, MultipleChoice):
            raise ConfigError(
                "A teacher of choices must choose.",
                received=f"a teacher for {getattr(other, 'name', 'something else')}",
                remedy="Fine-tune the teacher on the same training data.",
            )
        return []


def _numbered(row: Row) -> list[str]:
    """Columns that hold an option each, in their order."""
    return [name for name in row if _NUMBERED.fullmatch(name)]


def _maybe_text(value: Any) -> str | None:
    """A text, which may be empty."""
    return "" if value is None or (isinstance(value, str) and not value.strip()) else as_text(value)


def _options(value: Any) -> list[str] | None:
    """At least two texts; one text may hold all of them, with | between."""
    if isinstance(value, dict):  # as some published sets have them, beside their letters
        value = value.get("text")
    if isinstance(value, str):
        value = [part.strip() for part in value.split("|")]
    if not isinstance(value, list) or len(value) < 2:
        return None
    options = [as_text(option) for option in value]
    return None if None in options else [option for option in options if option is not None]


def _which(answer: Any, choices: Any) -> int | None:
    """The number of the option that is meant."""
    options = _options(choices)
    if options is None or isinstance(answer, bool):
        return None
    number: int | None = None
    if isinstance(answer, str):
        if options.count(answer) == 1:
            return options.index(answer)
        if re.fullmatch(r"[A-Za-z]", answer.strip()):
            number = ord(answer.strip().upper()) - ord("A")
        elif answer.strip().isdecimal():
            number = int(answer)
    elif isinstance(answer, int) or (isinstance(answer, float) and answer.is_integer()):
        number = int(answer)
    return number if number is not None and 0 <= number < len(options) else None
