"""Contexts behind their questions, in windows that overlap; and where two models' windows meet."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.reference import log_softmax
from distilbert.core.tasks.examples import Examples
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.text.windows import windows
from distilbert.errors import ConfigError

#: Texts that are tokenised at a time.
_CHUNK = 1024

#: What a token has at least of a distribution, so that its logarithm is a number.
_LEAST = 1e-30

#: Special tokens of a row: before the question, between both, at the end.
_SPECIAL = 3


def windows_of_contexts(
    tokenizer: DistilBertTokenizerFast,
    questions: Sequence[str],
    contexts: Sequence[str],
    *,
    max_length: int,
    stride: int,
) -> TokenRows:
    """A row for each window of a context, behind its question.

    A question that is longer than half of a row is cut to that, and what is cut is counted. Each row's
    ``places`` are [S, 3]: of each token its text (0 the question, 1 the context, -1 none, as of special ones)
    and its characters ``[start, end)``.

    Args:
        tokenizer: of the model.
        questions: one for each context.
        contexts: where they are asked about.
        max_length: of a row, in tokens.
        stride: tokens that neighbouring windows share; at most half a window.

    Raises:
        ConfigError: a length without room for both.
    """
    room = max_length - _SPECIAL
    if room < 2:
        raise ConfigError(
            "A row must have room for a question and a context.",
            received=f"max_length={max_length}",
            remedy="Choose some hundreds, such as 384.",
        )
    known = _tokenised(tokenizer, dict.fromkeys([*questions, *contexts]))
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    special = np.array([[-1, 0, 0]], np.int32)
    rows: list[Any] = []
    places: list[Any] = []
    dropped: list[int] = []
    of: list[int] = []
    seconds: list[int] = []
    for number, (question, context) in enumerate(zip(questions, contexts, strict=True)):
        asked, where_asked = known[question]
        ids, where = known[context]
        lost = max(0, len(asked) - room // 2)
        asked, where_asked = asked[: len(asked) - lost], where_asked[: len(asked) - lost]
        left = room - len(asked)
        spans = [
            window.first for window in windows(len(ids), None, limit=left, stride=min(stride, left // 2))
        ]
        for start, end in spans:
            rows.append(np.concatenate([[cls], asked, [sep], ids[start:end], [sep]]).astype(np.int32))
            texts = [special, _of_text(0, where_asked), special, _of_text(1, where[start:end]), special]
            places.append(np.concatenate(texts))
            dropped.append(lost if start == 0 else 0)
            of.append(number)
            seconds.append(len(asked) + 2)
    return TokenRows(
        rows,
        np.array(dropped, np.int64),
        np.array(seconds, np.int64),
        of=np.array(of, np.int64),
        places=places,
    )


def pieces(examples: Examples, rows: TokenRows) -> Examples:
    """For each window its question, and the part of the context that it holds."""
    assert rows.of is not None
    assert rows.places is not None
    questions, contexts = [], []
    for example, places in zip(rows.of, rows.places, strict=True):
        start, end = held(places)
        questions.append(examples.columns["question"][example])
        contexts.append(examples.columns["context"][example][start:end])
    return Examples(examples.task, {"question": questions, "context": contexts}, examples.source)


def held(places: Array) -> tuple[int, int]:
    """The characters of its context that a window holds."""
    context = places[places[:, 0] == 1]
    return (int(context[0, 1]), int(context[-1, 2])) if len(context) else (0, 0)


def met_at_characters(
    logits: Sequence[Array], asked: TokenRows, rows: TokenRows, *, temperature: float
) -> list[Array]:
    """A teacher's distributions of where answers begin and end, as logits of other tokens, [2, S] each.

    What the teacher gives a token goes to the token that holds the same character: of beginnings the first
    one, of ends the last. So two models with the same tokens have the same distribution.

    Args:
        logits: of each of the teacher's rows, [2, S].
        asked: the rows that the teacher made of ``pieces`` of the others.
        rows: the windows that are to be told.
        temperature: of the distributions.

    Returns:
        Logits that have these distributions at that temperature; not a number where the teacher needed
        several windows for one, and so has no distribution over it.
    """
    assert asked.of is not None
    assert asked.places is not None
    assert rows.places is not None
    count = np.bincount(asked.of, minlength=len(rows))
    found = [np.full((2, len(ids)), np.nan, np.float32) for ids in rows.input_ids]
    for own, item, theirs in zip(logits, asked.of, asked.places, strict=True):
        if count[item] > 1:
            continue
        mine = rows.places[item]
        shares = np.exp(log_softmax(own.astype(np.float64) / temperature))
        shift = held(mine)[0]
        for side, share in enumerate(shares):
            target = np.bincount(_same(theirs, mine, shift, end=bool(side)), share, minlength=len(mine))
            found[item][side] = temperature * np.log(np.maximum(target, _LEAST))
    return found


def _same(theirs: Array, mine: Array, shift: int, *, end: bool) -> Array:
    """For each of a teacher's tokens the one of this model's row that holds its first, or last, character."""
    columns = np.zeros(len(theirs), np.int64)
    columns[theirs[:, 0] == -1] = np.flatnonzero(mine[:, 0] == -1)  # special ones stand in one order
    for text in (0, 1):
        own, other = np.flatnonzero(mine[:, 0] == text), theirs[:, 0] == text
        if not len(own):
            continue
        characters = (theirs[other, 2] - 1 if end else theirs[other, 1]) + (shift if text else 0)
        if end:  # the last token that begins at or before it
            at = np.searchsorted(mine[own, 1], characters, side="right") - 1
        else:  # the first one that ends after it
            at = np.searchsorted(mine[own, 2], characters, side="right")
        columns[other] = own[np.clip(at, 0, len(own) - 1)]
    return columns


def _tokenised(tokenizer: DistilBertTokenizerFast, texts: Any) -> dict[str, tuple[Array, Array]]:
    """The ids of each text, and the characters of each token, [S, 2]."""
    known: dict[str, tuple[Array, Array]] = {}
    todo = list(texts)
    for start in range(0, len(todo), _CHUNK):
        chunk = todo[start : start + _CHUNK]
        made = tokenizer(
            chunk, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
        )
        for text, ids, offsets in zip(chunk, made["input_ids"], made["offset_mapping"], strict=True):
            known[text] = np.array(ids, np.int32), np.array(offsets, np.int32).reshape(-1, 2)
    return known


def _of_text(number: int, offsets: Array) -> Array:
    return np.concatenate([np.full((len(offsets), 1), number, np.int32), offsets], axis=1)
