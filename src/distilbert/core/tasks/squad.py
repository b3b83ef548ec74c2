"""How answers to questions are judged (Rajpurkar et al. 2016 and 2018), and how they are published."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SIGNS = str.maketrans("", "", string.punctuation)


class Truth(NamedTuple):
    """One true answer: its text, and its first character in the context, or -1 where it is not there."""

    text: str
    start: int


def normalized(answer: str) -> str:
    """What of an answer is compared: small letters, without signs and articles, one space between words."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_SIGNS)).split())


def exact(answer: str, truths: Sequence[str]) -> float:
    """1 where the answer is one of the true ones, or where there is none and none is given."""
    return float(any(normalized(answer) == normalized(truth) for truth in _answerable(truths)))


def f1(answer: str, truths: Sequence[str]) -> float:
    """The best F1 of the answer's words and those of a true one."""
    return max(
        _overlap(normalized(answer).split(), normalized(truth).split()) for truth in _answerable(truths)
    )


def read_answers(value: Any, context: Any, start: Any = None) -> list[Truth] | None:
    """True answers as they are published: a list of objects, an object of lists, a text, or nothing.

    Args:
        value: what a row says.
        context: the row's context.
        start: the first character of a text, where it stands in a column of its own.

    Returns:
        The answers, each with its start, or -1 where it does not stand there; None for what is none of these.
    """
    if not isinstance(context, str):
        return None
    if value is None or value == "":
        return []
    if isinstance(value, str):
        value = [{"text": value, "answer_start": start}]
    elif isinstance(value, dict):
        texts, starts = value.get("text"), value.get("answer_start", value.get("start"))
        if isinstance(texts, str):
            texts, starts = [texts], [starts]
        starts = starts if isinstance(starts, list) else [None] * len(texts or ())
        if not isinstance(texts, list) or len(texts) != len(starts):
            return None
        value = [{"text": text, "answer_start": at} for text, at in zip(texts, starts, strict=True)]
    if not isinstance(value, list):
        return None
    truths = []
    for answer in value:
        answer = {"text": answer} if isinstance(answer, str) else answer
        if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
            return None
        text, at = answer["text"], answer.get("answer_start", answer.get("start"))
        at = int(at) if isinstance(at, str) and at.isdecimal() else at
        start = at if isinstance(at, int) and at >= 0 and context.startswith(text, at) else -1
        if text:
            truths.append(Truth(text, start))
    return truths


def _answerable(truths: Sequence[str]) -> Sequence[str]:
    """True answers of which something is left to compare; of none, the empty one."""
    return [truth for truth in truths if normalized(truth)] or [""]


def _overlap(told: list[str], true: list[str]) -> float:
    if not told or not true:
        return float(told == true)
    both = sum((Counter(told) & Counter(true)).values())
    return 2 * both / (len(told) + len(true))
