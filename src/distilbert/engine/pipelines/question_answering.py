"""Where in a context a question is answered, with the published call and scores."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core import rules
from distilbert.core.data.token_rows import Array
from distilbert.core.parameters import Head
from distilbert.engine.pipelines.abstract import Begun, Pipeline, a_text
from distilbert.engine.waiting import Row
from distilbert.errors import DataError

#: Of a row, if nothing is said: as long as the model reads, but not longer, and tokens that rows share.
_LONGEST, _SHARED = 384, 128


@dataclass(frozen=True)
class _State:
    contexts: list[str]
    owners: list[int]
    encodings: list[Any]


class QuestionAnswering(Pipeline):
    """``{"score": …, "start": …, "end": …, "answer": …}``, or a list of such.

    Inputs are ``question=`` and ``context=``, texts or lists of them, or ``{"question": …, "context": …}``.
    Long contexts are read in windows. Options: ``top_k`` (1), ``max_answer_len`` (15), ``max_seq_len``,
    ``doc_stride``, ``handle_impossible_answer``, ``align_to_words`` (True).
    """

    head = Head.QUESTION_ANSWERING

    def __call__(
        self, inputs: Any = None, *, question: Any = None, context: Any = None, **options: Any
    ) -> Any:
        """As the peer's: a list of one question is answered as that question."""
        if inputs is None:
            inputs = _asked(question, context)
        answer = super().__call__(inputs, **options)
        return answer[0] if isinstance(inputs, list) and len(inputs) == 1 else answer

    def _begin(
        self,
        given: list[Any],
        *,
        on_long: str,  # of no effect: contexts are read in windows
        max_seq_len: int | None = None,
        doc_stride: int | None = None,
        max_question_len: int | None = None,  # of the peer's; windows need no limit of questions
    ) -> Begun:
        longest = self._limit(max_seq_len or min(self.max_length, _LONGEST))
        shared = min(longest // 2, _SHARED) if doc_stride is None else doc_stride
        shared = rules.integer(0, longest)("doc_stride", shared)
        rows = [_row(one) for one in given]
        made = self.tokenizer(
            [question for question, _ in rows],
            [context for _, context in rows],
            truncation="only_second",
            max_length=longest,
            stride=shared,
            return_overflowing_tokens=True,
            verbose=False,
        )
        encodings = made.encodings or []
        seconds = [_second(encoding) for encoding in encodings]
        ids = [np.array(encoding.ids, np.int32) for encoding in encodings]
        owners = list(made["overflow_to_sample_mapping"])
        state = _State([context for _, context in rows], owners, encodings)
        windowed = int(np.count_nonzero(np.bincount(owners) > 1))
        return Begun(state, [Row(*own) for own in zip(ids, seconds, strict=True)], windowed=windowed)

    def _answers(
        self,
        state: _State,
        found: list[tuple[Array, ...]],
        *,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
        align_to_words: bool = True,
    ) -> Iterable[Any]:
        top_k, longest = rules.integer(1)("top_k", top_k), rules.integer(1)("max_answer_len", max_answer_len)
        # Some fall together where they are stretched to words.
        tried = top_k * 2 + 10 if align_to_words else top_k
        told: list[dict[str, dict[str, Any]]] = [{} for _ in state.contexts]
        nulls = [1.0] * len(state.contexts)
        for owner, encoding, (start, end) in zip(state.owners, state.encodings, found, strict=True):
            context = state.contexts[owner]
            begins, ends = _likely(start, encoding), _likely(end, encoding)
            nulls[owner] = min(nulls[owner], float(begins[0] * ends[0]))
            for first, last, score in _best(begins, ends, encoding, tried, longest):
                a, b = _characters(encoding, first, last, align_to_words)
                answer = {"score": 0.0, "start": a, "end": b, "answer": context[a:b]}
                # What is spelled alike is one answer, wherever it stands.
                told[owner].setdefault(context[a:b].lower(), answer)["score"] += score
        for own, null in zip(told, nulls, strict=True):
            answers = list(own.values())
            if handle_impossible_answer:
                answers.append({"score": null, "start": 0, "end": 0, "answer": ""})
            answers = sorted(answers, key=lambda answer: -answer["score"])[:top_k]
            yield answers[0] if len(answers) == 1 else answers


def _likely(logits: Array, encoding: Any) -> Array:
    """Probabilities over the context's tokens, and the first one, which stands for no answer."""
    open_to = np.array([number == 1 for number in encoding.sequence_ids])
    open_to[0] = True
    masked = np.where(open_to, logits.astype(np.float64), -1e4)
    powers = np.exp(masked - masked.max())
    return powers / powers.sum()


def _best(start: Array, end: Array, encoding: Any, tried: int, longest: int) -> list[tuple[int, int, float]]:
    """The likeliest spans of a row: first and last token, and how likely."""
    start, end = start.copy(), end.copy()
    start[0] = end[0] = 0.0
    spans = np.tril(np.triu(start[:, None] * end[None]), longest - 1)
    flat = spans.ravel()
    tried = min(tried, len(flat))
    order = np.argpartition(-flat, tried - 1)[:tried]
    order = order[np.argsort(-flat[order], kind="stable")]
    inside = {i for i, number in enumerate(encoding.sequence_ids) if number == 1} | {0}
    return [
        (first, last, float(spans[first, last]))
        for first, last in zip(*(side.tolist() for side in np.unravel_index(order, spans.shape)), strict=True)
        if first in inside and last in inside
    ]


def _characters(encoding: Any, first: int, last: int, whole_words: bool) -> tuple[int, int]:
    """The characters of a span of tokens, or of the words that these are of."""
    words = [encoding.token_to_word(token) for token in (first, last)]
    if whole_words and None not in words:
        begin, finish = (encoding.word_to_chars(word, 1) for word in words)
        if begin and finish:
            return int(begin[0]), int(finish[1])
    return int(encoding.offsets[first][0]), int(encoding.offsets[last][1])


def _second(encoding: Any) -> int:
    """The column at which the context begins: behind the [SEP] that ends the question."""
    return len(encoding.type_ids) - sum(encoding.type_ids)


def _asked(question: Any, context: Any) -> Any:
    """Questions with their contexts; one context may be for all."""
    if isinstance(question, str):
        return {"question": question, "context": context}
    if not isinstance(question, Sequence):
        raise DataError(
            "A question is asked as question=…, context=….",
            received=f"question={question!r:.40}",
            remedy="Give texts, or lists of them.",
        )
    contexts = [context] * len(question) if isinstance(context, str) else list(context)
    if len(contexts) != len(question):
        raise DataError(
            "Each question must have its context.",
            received=f"{len(question)} questions and {len(contexts)} contexts",
            remedy="Give as many, or one context for all.",
        )
    return [{"question": one, "context": other} for one, other in zip(question, contexts, strict=True)]


def _row(given: Any) -> tuple[str, str]:
    if not isinstance(given, Mapping) or not {"question", "context"} <= given.keys():
        raise DataError(
            'What is asked is {"question": …, "context": …}.',
            received=f"{given!r:.60}",
            remedy="Name both so.",
        )
    return a_text(given["question"]), a_text(given["context"])
