"""WordPiece: a word as the longest pieces that the vocabulary has, taken from the left."""

from collections.abc import Mapping

#: Longer words are not taken apart: published value.
MAX_WORD_CHARACTERS = 100

#: Words whose pieces are remembered; text repeats its words, and hostile text must not fill memory.
_REMEMBERED = 2**16

#: Id, and where in the word the piece starts and ends.
Piece = tuple[int, int, int]


class WordPiece:
    """A word to its pieces.

    Args:
        vocabulary: ids by token.
        unknown: the token that stands for a word that has no pieces.
        prefix: marks pieces that go on a word.
        max_word_characters: longer words are unknown.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        *,
        unknown: str,
        prefix: str = "##",
        max_word_characters: int = MAX_WORD_CHARACTERS,
    ) -> None:
        self._vocabulary, self._prefix = vocabulary, prefix
        self._unknown = vocabulary[unknown]
        self._longest_word = max_word_characters
        self._longest_piece = max(map(len, vocabulary))
        self._known: dict[str, tuple[Piece, ...]] = {}

    def __call__(self, word: str) -> tuple[Piece, ...]:
        """The pieces of ``word``, or the unknown token for all of it."""
        known = self._known.get(word)
        if known is None:
            known = self._pieces(word)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[word] = known
        return known

    def _pieces(self, word: str) -> tuple[Piece, ...]:
        pieces = self.begun(word)
        whole = sum(end - start for _, start, end in pieces) == len(word)
        return tuple(pieces) if whole else ((self._unknown, 0, len(word)),)

    def begun(self, word: str) -> list[Piece]:
        """The pieces that are found before none goes on: all of a known word's, the first of another's."""
        pieces: list[Piece] = []
        if len(word) > self._longest_word:
            return pieces
        start = 0
        while start < len(word):
            prefix = self._prefix if start else ""
            for end in range(min(len(word), start + self._longest_piece), start, -1):
                piece = self._vocabulary.get(prefix + word[start:end])
                if piece is not None:
                    break
            else:
                break
            pieces.append((piece, start, end))
            start = end
        return pieces
