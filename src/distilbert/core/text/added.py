"""Added tokens: pieces of text that are tokens as they stand, found before anything else is done to it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from distilbert.core.text.characters import characters
from distilbert.errors import CheckpointError


@dataclass(frozen=True)
class AddedToken:
    """A token beside the vocabulary's own, or one of the vocabulary's that text may name.

    Args:
        content: the text that is the token.
        single_word: only where no letter, digit or mark stands on either side.
        lstrip: with the spaces before it.
        rstrip: with the spaces after it.
        normalized: looked for in the normalised text; None means unless ``special``.
        special: has a meaning to the model, and is left out of decoded text on request.
    """

    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool | None = None
    special: bool = False

    def __post_init__(self) -> None:
        if self.normalized is None:
            object.__setattr__(self, "normalized", not self.special)

    def __str__(self) -> str:
        return self.content

    @classmethod
    def read(cls, value: Any, **defaults: bool) -> "AddedToken":
        """From what published files hold: a string, or an object of these fields.

        Raises:
            CheckpointError: something else.
        """
        names = ("single_word", "lstrip", "rstrip", "normalized", "special")
        if isinstance(value, AddedToken):
            return value
        if isinstance(value, str):
            return cls(value, **defaults)
        # A peer's token, or one of the ``tokenizers`` library, has the same names for the same things.
        given = (
            value if isinstance(value, dict) else {n: getattr(value, n, None) for n in ("content", *names)}
        )
        content = given.get("content")
        if isinstance(content, str):
            flags = {name: flag for name in names if isinstance(flag := given.get(name), bool)}
            return cls(content, **{**defaults, **flags})
        raise CheckpointError(
            "A token must be a string, or an object with its content.",
            received=f"{value!r:.80}",
            remedy="Restore the tokenizer's files.",
        )

    def facts(self) -> dict[str, Any]:
        """The fields, as published files hold them."""
        return asdict(self)


class Found(NamedTuple):
    """A part of a text, and the id of the added token that it is, if it is one."""

    start: int
    end: int
    id: int | None


class Finder:
    """Finds added tokens in a text: the leftmost, and of those the longest.

    Args:
        tokens: the text of each as it stands in what is searched, the token, and its id.
    """

    def __init__(self, tokens: Iterable[tuple[str, AddedToken, int]]) -> None:
        self._tokens = {text: (token, i) for text, token, i in tokens if text}
        longest_first = sorted(self._tokens, key=len, reverse=True)
        # A pattern of alternatives takes the first that fits, hence the longest.
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def __call__(self, text: str) -> Iterator[Found]:
        """The text's parts in order: tokens, and what stands between them."""
        done = 0
        for match in self._pattern.finditer(text) if self._pattern else ():
            token, number = self._tokens[match[0]]
            start, end = match.span()
            if token.single_word and not _alone(text, start, end):
                continue
            if token.lstrip:
                while start > done and characters().space.match(text[start - 1]):
                    start -= 1
            if token.rstrip:
                while end < len(text) and characters().space.match(text[end]):
                    end += 1
            start = max(start, done)
            if done < start:
                yield Found(done, start, None)
            yield Found(start, end, number)
            done = end
        if done < len(text) or not text:
            yield Found(done, len(text), None)


def _alone(text: str, start: int, end: int) -> bool:
    word = characters().word
    return not (start and word.match(text[start - 1])) and not (end < len(text) and word.match(text[end]))
