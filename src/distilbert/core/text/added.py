"""Added tokens: pieces of text that are tokens as they stand, found before anything else is done to it."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from distilbert.core.text.characters import characters
from distilbert.errors import ConfigError


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
        try:
            self.content.encode()
        except (AttributeError, UnicodeEncodeError):
            raise ConfigError(
                "A token must be a string of valid Unicode.",
                received=f"{self.content!r:.80}",
                remedy="Give its text.",
            ) from None
        if self.normalized is None:
            object.__setattr__(self, "normalized", not self.special)

    def __str__(self) -> str:
        return self.content

    @classmethod
    def read(cls, value: Any, **defaults: bool) -> "AddedToken":
        """From what published files hold: a string, or an object of these fields.

        Raises:
            ConfigError: something else.
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
        raise ConfigError(
            "A token must be a string, or an object with its content.",
            received=f"{value!r:.80}",
            remedy="Give its text.",
        )

    def facts(self) -> dict[str, Any]:
        """The fields, as published files hold them."""
        return asdict(self)


class Found(NamedTuple):
    """A part of a text, and the id of the added token that it is, if it is one."""

    start: int
    end: int
    id: int | None


class Wanted(NamedTuple):
    """An added token to look for: its text as it stands in what is searched, itself, and its id."""

    text: str
    token: AddedToken
    id: int


def wanted(tokens: Iterable[tuple[int, AddedToken]], normalize: Callable[[str], str]) -> list[Wanted]:
    """The added tokens that a text can hold, with their ids."""
    found = []
    for i, token in tokens:
        text = normalize(token.content) if token.normalized else token.content
        if not text:
            continue  # nothing is left of it: it would stand everywhere
        if characters().unspaced.search(text) is None:
            # It may lie in the spaces that another token has taken; the library has no way back from there.
            token = replace(token, lstrip=False)
        found.append(Wanted(text, token, i))
    return found


class Finder:
    """Finds added tokens in a text: the leftmost, and of those the longest.

    Args:
        tokens: to look for. Of those that look alike the first is found.
        special_is_text: what a special token covers is left as text, and no other token is found there.
    """

    def __init__(self, tokens: Iterable[Wanted], *, special_is_text: bool = False) -> None:
        self._special_is_text = special_is_text
        self._tokens: dict[str, tuple[AddedToken, int]] = {}
        for text, token, i in tokens:
            self._tokens.setdefault(text, (token, i))
        longest_first = sorted(self._tokens, key=len, reverse=True)
        # A pattern of alternatives takes the first that fits, hence the longest.
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def __call__(self, text: str) -> Iterator[Found]:
        """The text's parts in order: tokens, and what stands between them.

        As in the library, a token may begin in the spaces that the one before has taken.
        """
        done = 0
        for match in self._pattern.finditer(text) if self._pattern else ():
            token, number = self._tokens[match[0]]
            start, end = match.span()
            if token.special and self._special_is_text:
                continue
            if token.single_word and not _alone(text, start, end):
                continue
            if token.lstrip:
                while start > done and characters().space.match(text[start - 1]):
                    start -= 1
                start = max(start, done)
            if token.rstrip:
                while end < len(text) and characters().space.match(text[end]):
                    end += 1
            if done < start:
                yield Found(done, start, None)
            yield Found(start, end, number)
            done = end
        if done < len(text) or not text:
            yield Found(done, len(text), None)


def _alone(text: str, start: int, end: int) -> bool:
    word = characters().word
    return not (start and word.match(text[start - 1])) and not (end < len(text) and word.match(text[end]))
