"""Tags of words as spans of words, and back: BIO, BIOES (also called BILOU), or plain ones without spans.

A tag is "O", or a letter, a hyphen and a label: B begins a span, I goes on, E ends one, S is one alone.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from distilbert.errors import ConfigError

OUTSIDE = "O"
SCHEMES = ("BIO", "BIOES")

_PREFIXED = re.compile(r"[BIES]-.+")

#: The last and the only word of a span, in another way of naming them.
_SAME = {"L": "E", "U": "S"}


class WordSpan(NamedTuple):
    """Words ``[start, end)`` under one label."""

    label: str
    start: int
    end: int


def read_tags(tags: Sequence[str]) -> list[str]:
    """Tags by the letters used here: L- and U- are E- and S-."""
    return [_SAME[tag[0]] + tag[1:] if tag[:2] in ("L-", "U-") else tag for tag in tags]


def have_spans(labels: Iterable[str]) -> bool:
    """Whether tags are those of spans, and not plain ones, such as parts of speech."""
    names = [label for label in labels if label != OUTSIDE]
    return bool(names) and all(_PREFIXED.fullmatch(name) for name in names)


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Tags in the order of their ids: O first, then by label and by B, I, E, S; plain ones by name."""
    names = set(labels)
    if not have_spans(names):
        return tuple(sorted(names))
    rest = sorted(names - {OUTSIDE}, key=lambda tag: (tag[2:], "BIES".index(tag[0])))
    return (OUTSIDE, *rest)


def spans(tags: Sequence[str]) -> Iterator[WordSpan]:
    """The spans of a text's tags, as the CoNLL evaluation reads them.

    A span begins at B and S, where the label changes, and where I or E come after O, E or S; so every
    sequence of tags has spans, also one that no scheme would write.
    """
    start, before, label = 0, OUTSIDE, ""
    for i, tag in enumerate([*tags, OUTSIDE]):
        kind, name = tag[0], tag[2:]
        inside = before in "BI" and kind in "IE" and name == label
        if before != OUTSIDE and not inside:
            yield WordSpan(label, start, i)
        if kind != OUTSIDE and not inside:
            start = i
        before, label = kind, name


def tags_of(found: Iterable[WordSpan], words: int, *, scheme: str = "BIO") -> list[str]:
    """Tags of so many words that have these spans.

    Raises:
        ConfigError: there is no such scheme.
    """
    if scheme not in SCHEMES:
        raise ConfigError(
            f"A scheme of tags is one of {', '.join(SCHEMES)}.",
            received=f"scheme={scheme!r:.40}",
            remedy="Choose one of them.",
        )
    tags = [OUTSIDE] * words
    for label, start, end in found:
        tags[start:end] = [f"I-{label}"] * (end - start)
        tags[start] = f"B-{label}"
        if scheme == "BIOES":
            tags[end - 1] = f"E-{label}" if end - start > 1 else f"S-{label}"
    return tags


def rewritten(tags: Sequence[str], *, scheme: str) -> list[str]:
    """The same spans, in another scheme.

    Raises:
        ConfigError: there is no such scheme.
    """
    return tags_of(spans(read_tags(tags)), len(tags), scheme=scheme)
