"""Tags of a text's tokens, or entities of its words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core import rules
from distilbert.core.data.token_rows import Array
from distilbert.core.parameters import Head
from distilbert.core.reference import log_softmax
from distilbert.engine.long_texts import refuse_long
from distilbert.engine.pipelines.abstract import Begun, Pipeline, a_text
from distilbert.engine.pipelines.entities import STRATEGIES, Piece, aggregated, without_overlap
from distilbert.engine.waiting import Row
from distilbert.errors import DataError


@dataclass(frozen=True)
class _Window:
    """One row of a text: its encoding, and how many tokens of the text stand before it."""

    text: int
    encoding: Any
    before: int


@dataclass(frozen=True)
class _State:
    texts: list[str]
    words: list[list[tuple[int, int]]] | None
    windows: list[_Window]


class TokenClassification(Pipeline):
    """A list for each text: of tokens ``{"entity", "score", "index", "word", "start", "end"}``, or of
    entities ``{"entity_group", "score", "word", "start", "end"}``.

    Options: ``aggregation_strategy`` ("none", "simple", "first", "average", "max"), ``ignore_labels``
    (``["O"]``), ``stride``: tokens that the windows of a long text share, ``is_split_into_words`` and
    ``delimiter``: texts are lists of words.
    """

    head = Head.TOKEN_CLASSIFICATION

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """As the peer's: one text as a list of words is answered as a list of one."""
        split = {**self._usual, **options}.get("is_split_into_words")
        if split and not all(isinstance(one, list) for one in inputs):
            inputs = [inputs]
        return super().__call__(inputs, **options)

    def _begin(
        self,
        given: list[Any],
        *,
        on_long: str,
        stride: int | None = None,
        is_split_into_words: bool = False,
        delimiter: str | None = None,
    ) -> Begun:
        words = None
        if is_split_into_words:
            between = " " if delimiter is None else delimiter
            words = [_placed(own, len(between)) for own in given]
            texts = [between.join(own) for own in given]
        else:
            texts = [a_text(one) for one in given]
        room = self.max_length - self.tokenizer.num_special_tokens_to_add()
        shared = max(0, room // 4) if stride is None else rules.integer(0, room - 1)("stride", stride)
        made = self.tokenizer(
            given if is_split_into_words else texts,
            is_split_into_words=is_split_into_words,
            truncation=True,
            max_length=self.max_length,
            stride=shared,
            return_overflowing_tokens=True,
            verbose=False,
        )
        windows, several = self._windows(made, len(texts), room - shared)
        dropped = 0
        if on_long == "error":
            refuse_long([f"input {i}" for i in several], self.max_length)
        if on_long == "truncate":
            windows = [window for window in windows if window.before == 0]
            dropped = sum(window.encoding.dropped for window in windows)
        rows = [Row(np.array(window.encoding.ids, np.int32)) for window in windows]
        state = _State(texts, words, windows)
        if on_long == "truncate":
            return Begun(state, rows, cut=len(several), dropped=dropped)
        return Begun(state, rows, windowed=len(several))

    def _windows(self, made: Any, texts: int, step: int) -> tuple[list[_Window], list[int]]:
        """Each text's windows, and the texts that have several."""
        owners = made["overflow_to_sample_mapping"]
        count = np.bincount(owners, minlength=texts)
        windows, seen = [], dict.fromkeys(range(texts), 0)
        for owner, encoding in zip(owners, made.encodings, strict=True):
            windows.append(_Window(owner, encoding, seen[owner] * step))
            seen[owner] += 1
        return windows, np.flatnonzero(count > 1).tolist()

    def _answers(
        self,
        state: _State,
        found: list[tuple[Array, ...]],
        *,
        aggregation_strategy: str = "none",
        ignore_labels: Sequence[str] = ("O",),
    ) -> Iterable[Any]:
        strategy = rules.one_of(STRATEGIES)("aggregation_strategy", str(aggregation_strategy).lower())
        entities: list[list[Any]] = [[] for _ in state.texts]
        counts = np.bincount([window.text for window in state.windows], minlength=len(state.texts))
        for window, (logits, *_) in zip(state.windows, found, strict=True):
            words = None if state.words is None else state.words[window.text]
            pieces = self._pieces(state.texts[window.text], window, logits, words)
            told = aggregated(pieces, strategy, self.config.id2label, self.tokenizer.convert_tokens_to_string)
            entities[window.text] += [one for one in told if _name(one) not in ignore_labels]
        for own, count in zip(entities, counts, strict=True):
            yield without_overlap(own) if count > 1 else own

    def _pieces(
        self, text: str, window: _Window, logits: Array, words: list[tuple[int, int]] | None
    ) -> list[Piece]:
        """A window's tokens, special ones left out."""
        encoding, pieces = window.encoding, []
        scores = np.exp(log_softmax(logits.astype(np.float64)))
        for i, special in enumerate(encoding.special_tokens_mask):
            if special:
                continue
            start, end = encoding.offsets[i]
            if words is not None:
                shift = words[encoding.word_ids[i]][0]
                start, end = start + shift, end + shift
            token, spelled = encoding.tokens[i], text[start:end]
            unknown = encoding.ids[i] == self.tokenizer.unk_token_id
            # A token that is spelled otherwise than its characters goes on with a word.
            inside = not unknown and len(token) != len(spelled)
            word = spelled if unknown else token
            pieces.append(Piece(word, scores[i], start, end, window.before + i, inside))
        return pieces


def _name(entity: Mapping[str, Any]) -> Any:
    return entity.get("entity", entity.get("entity_group"))


def _placed(words: Any, between: int) -> list[tuple[int, int]]:
    """The characters of each word in the text that they make."""
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(
            "A text that is split into words is a list of them.",
            received=f"{words!r:.60}",
            remedy="Leave is_split_into_words out for texts.",
        )
    places, at = [], 0
    for word in words:
        places.append((at, at + len(word)))
        at += len(word) + between
    return places
