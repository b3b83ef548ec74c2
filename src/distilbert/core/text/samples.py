"""What a call of a tokenizer is given: a text or many, alone or in pairs, whole or as words."""

from collections.abc import Sequence
from typing import Any

from distilbert.errors import DataError

#: A text, or its words.
Text = str | list[str]


def not_a_text(texts: Sequence[Any]) -> DataError:
    """The error for the first of ``texts`` that is none."""
    return bad_text(*next((i, text) for i, text in enumerate(texts) if not is_text(text)))


def bad_text(row: int, text: Any) -> DataError:
    """The error for something that is no text."""
    return DataError(
        "A text must be a string of valid Unicode.",
        received=f"{text!r:.80} at row {row}",
        remedy="Remove it, or decode the file it comes from with its own encoding.",
    )


def is_text(text: Any) -> bool:
    """Whether it is a string without lone surrogates, or a list of such."""
    if isinstance(text, list | tuple):
        return all(isinstance(word, str) and is_text(word) for word in text)
    if not isinstance(text, str):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def samples(text: Any, pair: Any, words: bool) -> tuple[list[Text], list[Text] | None, bool]:
    """First texts, second ones, and whether it was one sample and not a list."""
    if text is None:
        raise DataError("There must be a text.", received="None", remedy="Give a string or a list of them.")
    single = _is_words(text) if words else isinstance(text, str)
    if single:
        if pair is not None and not (_is_words(pair) if words else isinstance(pair, str)):
            raise DataError(
                "A text's pair must be one text.",
                received=f"a {type(pair).__name__}",
                remedy="Give a list of texts beside a list.",
            )
        return [_own(text)], None if pair is None else [_own(pair)], True
    firsts = _rows(text)
    if pair is None:
        if not words and firsts and all(isinstance(row, list | tuple) and len(row) == 2 for row in firsts):
            pairs = zip(*firsts, strict=True)
            one, two = (_alike(list(texts), words) for texts in pairs)
            return one, two, False
        return _alike(firsts, words), None, False
    seconds = _rows(pair)
    if len(firsts) != len(seconds):
        raise DataError(
            "There must be a second text for each first.",
            received=f"{len(firsts)} first texts and {len(seconds)} second ones",
            remedy="Give lists of one length.",
        )
    return _alike(firsts, words), _alike(seconds, words), False


def _is_words(text: Any) -> bool:
    return isinstance(text, list | tuple) and all(isinstance(word, str) for word in text)


def _alike(texts: list[Any], words: bool) -> list[Text]:
    """The texts, all of them whole or all as their words."""
    other = str if words else (list, tuple)
    for row, text in enumerate(texts):
        if isinstance(text, other):
            raise DataError(
                "Each text must be a list of its words." if words else "Each text must be a string.",
                received=f"{text!r:.80} at row {row}, with is_split_into_words={words}",
                remedy="Give all texts in one way, and say is_split_into_words=True where they are words.",
            )
    return [_own(text) for text in texts]


def _own(text: Any) -> Text:
    return list(text) if isinstance(text, tuple) else text


def _rows(texts: Any) -> list[Any]:
    """A list of what may be a tuple, an array, or a column of a table."""
    if hasattr(texts, "tolist"):
        texts = texts.tolist()
    if isinstance(texts, Sequence) and not isinstance(texts, str | bytes):
        return list(texts)
    raise DataError(
        "Texts must be a string or a list of them.",
        received=f"a {type(texts).__name__}",
        remedy="Put several texts in a list; give words as a list with is_split_into_words=True.",
    )
