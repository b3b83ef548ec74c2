"""What a server of the OpenAI chat protocol replies, as far as it is used and kept."""

from dataclasses import dataclass
from typing import Any, Self

#: What tokens and answers have around them: space, marks of tokenizers for it, quotes, brackets, stops.
AROUND = " \t\r\n\"'`*_.:;,()[]{}<>Ġ▁"

#: Tokens of a request, and log-probabilities of one: a whole number of JSON may be too large to count with.
_MOST = 10**9


@dataclass(frozen=True)
class Reply:
    """An answer, and what the model thought at the token that begins it.

    Attributes:
        text: the whole answer; empty where the model declined.
        token: the first token that says something; None where the server gave no log-probabilities.
        top: tokens that might have stood there instead, and itself, with their log-probabilities.
        read: tokens of the prompt, as the server counts them; None where it does not.
        written: tokens of the answer, likewise.
    """

    text: str
    token: str | None = None
    top: tuple[tuple[str, float], ...] = ()
    read: int | None = None
    written: int | None = None

    @classmethod
    def of_protocol(cls, body: Any) -> Self | None:
        """From the body of a chat completion; None where it is none."""
        try:
            choice = body["choices"][0]
            text = choice["message"].get("content")
        except (TypeError, KeyError, IndexError, AttributeError):
            return None
        if text is not None and not isinstance(text, str):
            return None
        token, top = _first_token(choice.get("logprobs"))
        usage = body.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        read, written = (_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
        return cls(text or "", token, top, read, written)

    @classmethod
    def of_record(cls, record: Any) -> Self | None:
        """From what ``record`` made; None where it is something else."""
        if not isinstance(record, dict) or not isinstance(record.get("text"), str):
            return None
        top = record.get("top", [])
        token = record.get("token")
        if not isinstance(top, list) or not isinstance(token, str | None):
            return None
        counts = (_count(record.get(name)) for name in ("read", "written"))
        return cls(record["text"], token, _pairs(top), *counts)

    def record(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "text": self.text,
            "token": self.token,
            "top": [list(pair) for pair in self.top],
            "read": self.read,
            "written": self.written,
        }


def _first_token(logprobs: Any) -> tuple[str | None, tuple[tuple[str, float], ...]]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    for position in content if isinstance(content, list) else []:
        if not isinstance(position, dict) or not isinstance(position.get("token"), str):
            break
        token = position["token"]
        if token.strip(AROUND):
            given = position.get("top_logprobs")
            top = [[one.get("token"), one.get("logprob")] for one in given or [] if isinstance(one, dict)]
            return token, _pairs(top)
    return None, ()


def _pairs(top: list[Any]) -> tuple[tuple[str, float], ...]:
    pairs = [pair for pair in top if isinstance(pair, list | tuple) and len(pair) == 2]
    return tuple(
        (token, min(0.0, float(logprob)))
        for token, logprob in pairs
        if isinstance(token, str)
        and isinstance(logprob, int | float)
        and not isinstance(logprob, bool)
        and -_MOST <= logprob <= _MOST
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST else None
