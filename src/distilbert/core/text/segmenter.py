"""From text to tokens, in plain Python: the definition that both tokenizers keep to.

Text is searched for added tokens; what stands between them is normalised, searched again for those that are
looked for in normalised text, split at spaces and punctuation, and each word is taken apart into pieces.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from distilbert.core.text.added import AddedToken, Finder, wanted
from distilbert.core.text.characters import characters
from distilbert.core.text.normalize import Normalized
from distilbert.core.text.pipeline import Pipeline
from distilbert.core.text.rows import Segment
from distilbert.core.text.wordpiece import Piece, WordPiece


class _Word(NamedTuple):
    """A word's pieces. It begins at ``start`` in ``text``, which begins at ``shift`` in the given one."""

    pieces: Sequence[Piece]
    text: Normalized
    start: int
    shift: int


class Segmenter:
    """
    Args:
        ids: of the vocabulary's own tokens.
        unknown: the token that stands for a word that has no pieces.
        added: tokens to look for in text.
        special_is_text: text that spells a special token is text.
        pipeline: how text is normalised and split.
    """

    def __init__(
        self,
        ids: Mapping[str, int],
        *,
        unknown: str,
        added: Iterable[tuple[int, AddedToken]],
        special_is_text: bool,
        pipeline: Pipeline,
    ) -> None:
        self._normalize = pipeline.normalizer()
        self._wordpiece = WordPiece(
            ids,
            unknown=unknown,
            prefix=pipeline.wordpieces_prefix,
            max_word_characters=pipeline.max_word_characters,
        )
        looked_for = wanted(added, lambda text: self._normalize(text).text)
        self._in_given, self._in_normalized = (
            Finder((w for w in looked_for if w.token.normalized is kind), special_is_text=special_is_text)
            for kind in (False, True)
        )
        never_split = pipeline.never_split if pipeline.do_basic_tokenize else ()
        self._whole = {word: ids.get(word, ids[unknown]) for word in never_split}
        self._with_accents = replace(pipeline, strip_accents=False).normalizer()
        self._words = characters().words if pipeline.do_basic_tokenize else characters().unspaced

    def ids(self, text: str | Sequence[str]) -> list[int]:
        """The ids of the tokens of a text, or of its words."""
        if isinstance(text, str):
            return [piece[0] for word in self._walk(text) for piece in word.pieces]
        return [number for word in text for number in self.ids(word)]

    def segment(self, text: str | Sequence[str]) -> Segment:
        """The tokens of a text, or of its words, with where each came from in the text, or in its word."""
        if not isinstance(text, str):
            parts = [self.segment(word) for word in text]
            return Segment(
                [number for part in parts for number in part.ids],
                [span for part in parts for span in part.offsets],
                [i for i, part in enumerate(parts) for _ in part.ids],
            )
        made = Segment([], [], [])
        for i, (pieces, (_, starts, ends), at, shift) in enumerate(self._walk(text)):
            for number, start, end in pieces:
                made.ids.append(number)
                made.offsets.append((shift + starts[at + start], shift + ends[at + end - 1]))
                made.words.append(i)
        return made

    def _walk(self, text: str) -> Iterator[_Word]:
        for found in self._in_given(text):
            if found.id is not None:
                yield _as_it_stands(found.id, found.start, found.end)
            elif self._whole:
                yield from self._spare(text, found.start, found.end)
            else:
                yield from self._between(text, found.start, found.end)

    def _spare(self, text: str, start: int, end: int) -> Iterator[_Word]:
        """A part of the text, without touching the words that are never split.

        They are compared with what stands between spaces once the text is cleaned and its case is folded.
        """
        normal, starts, ends = self._with_accents(text[start:end])
        done = start
        for match in characters().unspaced.finditer(normal):
            number = self._whole.get(match[0])
            if number is not None:
                first, last = start + starts[match.start()], start + ends[match.end() - 1]
                yield from self._between(text, done, first)
                yield _as_it_stands(number, first, last)
                done = last
        yield from self._between(text, done, end)

    def _between(self, text: str, start: int, end: int) -> Iterator[_Word]:
        """A part of the text that holds no added token as it stands."""
        normal = self._normalize(text[start:end])
        for found in self._in_normalized(normal.text):
            if found.id is not None:
                yield _Word(((found.id, 0, found.end - found.start),), normal, found.start, start)
                continue
            for match in self._words.finditer(normal.text, found.start, found.end):
                yield _Word(self._wordpiece(match[0]), normal, match.start(), start)


def _as_it_stands(number: int, start: int, end: int) -> _Word:
    """A part of the given text that is one token."""
    size = end - start
    return _Word(((number, 0, size),), Normalized("", range(size), range(1, size + 1)), 0, start)
