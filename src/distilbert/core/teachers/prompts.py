"""What a chat model is asked, and what its reply says of the classes."""

import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.teachers.replies import AROUND, Reply
from distilbert.errors import ConfigError

DEFAULT = """\
Which of these classes is the text below of?

{labels}

Text:
{text}

Answer with the one letter or number of the class, and nothing else."""

#: The longest template, in bytes.
MAX_TEMPLATE = 2**20

_PLACES = re.compile(r"\{(text|labels)\}")

Shares = np.ndarray[Any, np.dtype[np.float64]]


def read_template(path: str | Path) -> str:
    """A template out of a file of UTF-8 text.

    Raises:
        ConfigError: it cannot be read, or is too long.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_TEMPLATE + 1)
        if len(content) > MAX_TEMPLATE:
            raise ValueError(f"more than {MAX_TEMPLATE} bytes")
        return content.decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            "A prompt must be a readable file of UTF-8 text.",
            received=f"{path}: {reason}",
            remedy="Check the name, or save it as UTF-8.",
        ) from None


class Prompt:
    """A question about a text, with a code for each class, and how its answer is read.

    Classes are lettered A to Z: a letter is one token in every tokenizer, so that the log-probabilities of
    the answer's first token are those of the classes. More than 26 are numbered, and of these only the
    answer itself is taken, since several numbers begin with the same token.

    Args:
        template: a text with the places ``{text}`` and ``{labels}``; None for ``DEFAULT``.
        labels: the classes.

    Raises:
        ConfigError: a place is missing.
    """

    def __init__(self, template: str | None, labels: Sequence[str]) -> None:
        self.template = DEFAULT if template is None else template
        missing = {"text", "labels"} - set(_PLACES.findall(self.template))
        if missing:
            raise ConfigError(
                "A prompt must have places for the text and the classes: {text} and {labels}.",
                received=f"one without {{{sorted(missing)[0]}}}: {self.template!r:.80}",
                remedy="Write it where it belongs.",
            )
        self.lettered = len(labels) <= len(string.ascii_uppercase)
        codes = string.ascii_uppercase if self.lettered else [str(i + 1) for i in range(len(labels))]
        self._ids = dict(zip(codes, range(len(labels)), strict=False))
        self._names = {label.strip(AROUND).casefold(): i for i, label in enumerate(labels)}
        self._listed = "\n".join(f"{code}. {label}" for code, label in zip(self._ids, labels, strict=True))
        # A code alone, or one that something closes: "B", "**B**", "B) music"; not "A day of sports".
        self._code = re.compile(r"[\W_]*([A-Z]|\d+)(?:[\W_]*\Z|\**\s?[).:\]])")

    def message(self, text: str) -> str:
        """The question about a text. What the text itself holds in braces stays as it is."""
        given = {"text": text, "labels": self._listed}
        return _PLACES.sub(lambda place: given[place[1]], self.template)

    def shares(self, reply: Reply) -> tuple[Shares, bool] | None:
        """A probability for each class, [C], and whether they come from log-probabilities.

        Tokens of the same letter (``"A"``, ``" A"``) count together; classes that are not among the tokens
        that the server names have zero; the rest is made to sum to 1. Without log-probabilities the class
        that was answered has 1. None where the answer names no class.
        """
        best = self._answered(reply.text)
        if best is None:
            return None
        shares = np.zeros(len(self._ids))
        if self.lettered and reply.token is not None and self._id(reply.token) == best:
            for token, logprob in reply.top:
                if (found := self._id(token)) is not None:
                    shares[found] += np.exp(logprob)
            if shares[best] > 0:
                return shares / shares.sum(), True
            shares[:] = 0
        shares[best] = 1
        return shares, False

    def _id(self, token: str) -> int | None:
        return self._ids.get(token.strip(AROUND))

    def _answered(self, text: str) -> int | None:
        said = text.strip()
        if (found := self._code.match(said)) and found[1] in self._ids:
            return self._ids[found[1]]
        return self._names.get(said.strip(AROUND).casefold())
