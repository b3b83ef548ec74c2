"""Where in a context a question is answered, or that it is not, in contexts of any length."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from distilbert.core import rules
from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.core.data.readers import Reader
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.reference import log_softmax
from distilbert.core.tasks import squad
from distilbert.core.tasks.context_windows import met_at_characters, pieces, windows_of_contexts
from distilbert.core.tasks.examples import Examples, Field, Numbered, as_text, find, gather, known_columns
from distilbert.core.tasks.metrics import Metric, mean_of
from distilbert.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

#: Columns of the question, of the text that answers it, and of the answers, in the order they are looked for.
QUESTION_COLUMNS = ("question", "query")
CONTEXT_COLUMNS = ("context", "passage", "paragraph", "document")
ANSWER_COLUMNS = ("answers", "answer", "answer_text")
START_COLUMNS = ("answer_start", "start")

#: Beginnings and ends of a window that are tried with each other, and answers that are told.
_TRIED, _TOLD = 20, 5


@dataclass(frozen=True)
class Found:
    """One answer: characters ``[start, end)`` of the context; none is an empty text at 0.

    ``score`` is its probability among those that are told.
    """

    answer: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Answered:
    """What a model says of one question.

    Attributes:
        answer: the text, empty where the context does not answer the question.
        start, end: its characters in the context.
        score: its probability among ``others``.
        others: the best answers, the best first; where questions may have none, that too.
    """

    answer: str
    start: int
    end: int
    score: float
    others: tuple[Found, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "others": [asdict(other) for other in self.others]}

    def __str__(self) -> str:
        return f"{self.answer}\t{self.start}:{self.end}\t{self.score:.4f}"


@dataclass(frozen=True)
class QuestionAnswering:
    """The task of a folder.

    Attributes:
        unanswerable: whether questions may have no answer.
        null_threshold: no answer is told where its score is above the best answer's by more than this.
        doc_stride: tokens that neighbouring windows of a context share, and at most half a window.
        max_answer: tokens of the longest answer.
        fitted_threshold: what goes before ``null_threshold``, fitted on data that was not learnt from.
    """

    unanswerable: bool = False
    null_threshold: float = 0.0
    doc_stride: int = 128
    max_answer: int = 30
    fitted_threshold: float | None = None

    def __post_init__(self) -> None:
        rules.flag("unanswerable", self.unanswerable)
        rules.number(-1e6, 1e6)("null_threshold", self.null_threshold)
        rules.integer(0)("doc_stride", self.doc_stride)
        rules.integer(1)("max_answer", self.max_answer)

    name: ClassVar[str] = "question-answering"
    head: ClassVar[Head] = Head.QUESTION_ANSWERING
    columns: ClassVar[tuple[str, ...]] = ("question", "context", "answers", "answer_start")
    inputs: ClassVar[tuple[str, ...]] = ("question", "context")
    target: ClassVar[str] = "answers"
    single: ClassVar[bool] = False

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """F1 and exact match by SQuAD's rules; where some questions have no answer, of both kinds too."""
        shared: dict[str, Metric] = {"f1": mean_of(1), "exact_match": mean_of(0)}
        if not self.unanswerable:
            return shared
        return {**shared, "f1 where answered": mean_of(1, of=1), "right where not": mean_of(0, of=0)}

    # Which columns it reads.

    @classmethod
    def fits(cls, rows: Numbered, wanted: Mapping[str, str]) -> bool:
        """Whether a table has questions and contexts, and no options."""
        names = rows[0][1]
        there = any(name in names for name in QUESTION_COLUMNS) or "question" in wanted
        return there and (any(name in names for name in CONTEXT_COLUMNS) or "context" in wanted)

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
        """Examples of a table's rows: ``question``, ``context``, and ``answers``, of which there may be none.

        Raises:
            DataError: a column that is not there, or a field that cannot be used.
        """
        known_columns(columns, cls.columns, task=cls.name)
        names = list(rows[0][1])
        ways = {"task": cls.name, "source": source}
        question = find(names, QUESTION_COLUMNS, wanted=columns.get("question"), what="the question", **ways)
        context = find(names, CONTEXT_COLUMNS, wanted=columns.get("context"), what="the context", **ways)
        read = {
            "question": Field(question, as_text, "Every row must have a question."),
            "context": Field(context, as_text, "Every row must have a context."),
        }
        if labelled:
            answers = find(names, ANSWER_COLUMNS, wanted=columns.get("answers"), what="the answers", **ways)
            start = columns.get("answer_start") or next(
                (name for name in START_COLUMNS if name in names), None
            )
            rows = [
                (number, {**row, answers: (row.get(answers), row.get(context), row.get(start or ""))})
                for number, row in rows
            ]
            rule = "Answers must be a list of objects with text and answer_start, or a text."
            read["answers"] = Field(answers, lambda given: squad.read_answers(*given), rule)
        return gather(cls.name, rows, read, source=source, files=files)

    # How answers become places and back.

    @classmethod
    def of(cls, examples: Examples) -> Self:
        """The task that examples set.

        Raises:
            DataError: an answer does not stand where it should; the first is named, and all are counted.
        """
        wrong = misplaced(examples)
        if wrong:
            first = examples.columns["answers"][wrong[0]][0].text
            raise DataError(
                "An answer to learn must stand at its answer_start in the context.",
                received=f"{len(wrong)} that do not, the first {first!r:.60} at {examples.at(wrong[0])}",
                remedy='Correct them, or leave such rows out: --misplaced drop (misplaced="drop")',
            )
        return cls(unanswerable=not all(examples.columns["answers"]))

    def truth(self, examples: Examples, *, source: str) -> Array:
        """Whether each question has an answer, [rows]."""
        return np.array([bool(answers) for answers in examples.columns["answers"]], np.int64)

    def targets(self, examples: Examples, rows: TokenRows, *, source: str) -> list[Array]:
        """What each window is to be told, [2]: the columns of the answer's first and last token, or of [CLS]
        where the window does not hold it.
        """
        assert rows.of is not None
        assert rows.places is not None
        if "answers" not in examples.columns:
            return [np.array([IGNORED_LABEL] * 2)] * len(rows)
        targets = []
        for example, places in zip(rows.of, rows.places, strict=True):
            answers = examples.columns["answers"][example]
            limits = (0, 0)
            if answers:
                first, last = answers[0].start, answers[0].start + len(answers[0].text)
                context = np.flatnonzero(places[:, 0] == 1)
                held = context[(places[context, 2] > first) & (places[context, 1] < last)]
                whole = len(held) and places[context[0], 1] <= first and places[context[-1], 2] >= last
                limits = (int(held[0]), int(held[-1])) if whole else limits
            targets.append(np.array(limits, np.int64))
        return targets

    # How examples become rows, and logits answers.

    def encode(self, reader: Reader, examples: Examples, *, max_length: int) -> TokenRows:
        """A row for each window of a context, behind its question; no part of a context is cut."""
        return windows_of_contexts(
            reader,
            examples.columns["question"],
            examples.columns["context"],
            max_length=max_length,
            stride=self.doc_stride,
        )

    def answers(
        self, logits: Sequence[Array], examples: Examples, rows: TokenRows | None = None
    ) -> list[Answered]:
        """What the logits [2, S] of each question's windows say."""
        assert rows is not None
        spans, nulls = self._found(logits, examples, rows)
        contexts = examples.columns["context"]
        return [
            self._answer(context, found, null)
            for context, found, null in zip(contexts, spans, nulls, strict=True)
        ]

    def null_margins(
        self, logits: Sequence[Array], examples: Examples, rows: TokenRows
    ) -> tuple[Array, Array]:
        """By how much having no answer is above the best answer of each question, [rows], infinite where that
        is all there is; and the F1 of telling that answer, and of telling none, [rows, 2].
        """
        spans, nulls = self._found(logits, examples, rows)
        margins, scores = np.full(len(examples), np.inf), np.zeros((len(examples), 2))
        given = zip(*(examples.columns[name] for name in ("context", "answers")), spans, nulls, strict=True)
        for row, (context, answers, found, null) in enumerate(given):
            truths = [answer.text for answer in answers]
            scores[row, 1] = squad.f1("", truths)
            if found:
                best, start, end = max(found)
                margins[row], scores[row, 0] = null - best, squad.f1(context[start:end], truths)
        return margins, scores

    def _found(
        self, logits: Sequence[Array], examples: Examples, rows: TokenRows
    ) -> tuple[list[list[tuple[float, int, int]]], Array]:
        """The best answers of each question's windows, and what having none scores, the least of them."""
        assert rows.of is not None
        assert rows.places is not None
        spans: list[list[tuple[float, int, int]]] = [[] for _ in range(len(examples))]
        nulls = np.full(len(examples), np.inf)
        for own, example, places in zip(logits, rows.of, rows.places, strict=True):
            spans[example] += self.best_spans(own, places)
            nulls[example] = min(nulls[example], float(own[0, 0] + own[1, 0]))
        return spans, nulls

    def best_spans(self, logits: Array, places: Array) -> list[tuple[float, int, int]]:
        """The best answers of one window: score, and characters of the context."""
        context = np.flatnonzero(places[:, 0] == 1)
        firsts, lasts = (context[np.argsort(-side[context], kind="stable")[:_TRIED]] for side in logits)
        length = lasts[None] - firsts[:, None] + 1
        scores = np.where(
            (length > 0) & (length <= self.max_answer),
            logits[0, firsts][:, None] + logits[1, lasts][None],
            -np.inf,
        )
        best = np.argsort(-scores, axis=None, kind="stable")[:_TRIED]
        found = []
        for i, j in zip(*np.unravel_index(best, scores.shape), strict=True):
            if np.isfinite(scores[i, j]):
                found.append((float(scores[i, j]), int(places[firsts[i], 1]), int(places[lasts[j], 2])))
        return found

    def _answer(self, context: str, spans: list[tuple[float, int, int]], null: float) -> Answered:
        """The best of all windows' answers, each once."""
        best: dict[tuple[int, int], float] = {}
        for score, start, end in sorted(spans, reverse=True):
            if len(best) < _TOLD:
                best.setdefault((start, end), score)
        told = [(score, context[start:end], start, end) for (start, end), score in best.items()]
        if self.unanswerable or not told:
            # As it counts beside the answers: above the best of them from the threshold on.
            threshold = self.null_threshold if self.fitted_threshold is None else self.fitted_threshold
            told.append((null - threshold, "", 0, 0))
            told.sort(key=lambda answer: -answer[0])
        likely = np.exp(log_softmax(np.array([[score for score, *_ in told]])))[0]
        others = tuple(
            Found(text, start, end, float(p)) for p, (_, text, start, end) in zip(likely, told, strict=True)
        )
        first = others[0]
        return Answered(first.answer, first.start, first.end, first.score, others)

    def told(self, logits: Sequence[Array], examples: Examples, rows: TokenRows | None = None) -> Array:
        """Exact match and F1 of each question's answer, [rows, 2]."""
        scores = []
        for answered, answers in zip(
            self.answers(logits, examples, rows), examples.columns["answers"], strict=True
        ):
            truths = [truth.text for truth in answers]
            scores.append((squad.exact(answered.answer, truths), squad.f1(answered.answer, truths)))
        return np.array(scores, np.float64).reshape(-1, 2)

    def asked(self, examples: Examples, rows: TokenRows) -> Examples:
        """What a teacher is asked: each window's question, of the context's part that it holds."""
        return pieces(examples, rows)

    def met(
        self,
        logits: Sequence[Array],
        asked: TokenRows,
        examples: Examples,
        rows: TokenRows,
        *,
        temperature: float,
    ) -> list[Array]:
        """A teacher's logits at this model's windows: they meet at the characters."""
        return met_at_characters(logits, asked, rows, temperature=temperature)

    # What a folder knows of it.

    def configure(self, config: EncoderConfig) -> None:
        """Give a model's configuration the two outputs that the head has."""
        if config.num_labels != 2:
            config.id2label, config.label2id = {0: "LABEL_0", 1: "LABEL_1"}, {"LABEL_0": 0, "LABEL_1": 1}
        config.problem_type = None

    def has_head(self, config: EncoderConfig) -> bool:
        """Whether a head of that configuration finds answers: any does."""
        return config.num_labels == 2

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` remembers of the task."""
        known = asdict(self)
        del known["fitted_threshold"]  # stands with the rest of the calibration
        return {"name": self.name, **known}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        names = [field.name for field in fields(cls) if field.name != "fitted_threshold"]
        return cls(**{name: facts[name] for name in names if name in facts})

    @classmethod
    def from_config(cls, config: EncoderConfig, facts: Mapping[str, Any], *, folder: object) -> Self:
        """The task of a folder."""
        return cls.from_facts(facts)

    def matching(self, other: Any) -> list[int]:
        """The order in which another model's logits are this one's: they count tokens.

        Raises:
            ConfigError: it does not answer questions.
        """
        if not isinstance(other, QuestionAnswering):
            raise ConfigError(
                "A teacher of answers must find answers.",
                received=f"a teacher for {getattr(other, 'name', 'something else')}",
                remedy="Fine-tune the teacher on the same training data.",
            )
        return []


def misplaced(examples: Examples) -> list[int]:
    """Rows whose first answer does not stand where it should."""
    rows = enumerate(examples.columns["answers"])
    return [row for row, answers in rows if answers and answers[0].start < 0]


def without_misplaced(examples: Examples) -> Examples:
    """The examples but those whose answer does not stand where it should; they are counted aloud."""
    wrong = set(misplaced(examples))
    if not wrong:
        return examples
    logger.warning("%d of %d rows of %s left out: their answers are not at answer_start.", len(wrong),
                   len(examples), examples.source)  # fmt: skip
    return examples.take([row for row in range(len(examples)) if row not in wrong])
