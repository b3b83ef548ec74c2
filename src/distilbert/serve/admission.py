"""Who is let in: as many tokens as can be answered in time, each request whole or not at all."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from math import ceil

from distilbert.serve.refusals import Overloaded, TooLarge

#: Seconds of computing after which what was computed before counts half.
_FORGETS = 10.0

#: The share of a deadline that waiting may take: speed is an estimate, and so are tokens.
_PATIENCE = 0.7

#: Characters of a token, about; what a request really has is known when it is tokenised.
_CHARACTERS = 4


class Admission:
    """What was let in and is not answered, and how long it is likely to take. For one thread.

    Args:
        most_tokens: of all requests together.
        most_requests: at once.
        key_requests: at once for each key; None for any number.
        deadline: of a request, in seconds.
        clock: tells the time.
    """

    def __init__(
        self,
        *,
        most_tokens: int,
        most_requests: int,
        key_requests: int | None = None,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._most_requests, self._key_requests = most_tokens, most_requests, key_requests
        self._patience = _PATIENCE * deadline
        self._clock = clock
        #: Let in, and not answered yet.
        self.tokens = self.requests = 0
        self._of_key: Counter[str] = Counter()
        #: Tokens that were computed, seconds in which there was something to compute, since when there is.
        self._done = self._busy = 0.0
        self._since = clock()

    @property
    def speed(self) -> float | None:
        """Tokens a second; None while nothing is known."""
        return self._done / self._busy if self._done else None

    def enter(self, *, key: str, characters: int, texts: int) -> "Place":
        """A place for a request.

        Args:
            key: of whoever asks.
            characters: of all its texts.
            texts: how many they are.

        Raises:
            Overloaded: there is no room at present.
            TooLarge: there would never be.
        """
        tokens = characters // _CHARACTERS + 2 * texts
        if tokens > self._most:
            raise TooLarge(
                f"A request must have at most {self._most} tokens. Received: about {tokens}. "
                "Send it in several."
            )
        if self._key_requests is not None and self._of_key[key] >= self._key_requests:
            raise Overloaded(
                f"A key must have at most {self._key_requests} requests under way. Wait for an answer.",
                retry_after=1,
            )
        if self.requests >= self._most_requests or self.tokens + tokens > self._most:
            raise self._full(tokens, self._most)
        speed = self.speed
        if speed and self.requests and (self.tokens + tokens) / speed > self._patience:
            raise self._full(tokens, int(self._patience * speed))
        if not self.requests:
            self._since = self._clock()
        self.requests += 1
        self.tokens += tokens
        self._of_key[key] += 1
        return Place(self, key, tokens)

    def leave(self, place: "Place") -> None:
        """Give a place back."""
        now = self._clock()
        self._busy += now - self._since
        self._since = now
        self._done += place.computed
        if self._busy > _FORGETS:
            self._busy, self._done = self._busy / 2, self._done / 2
        self.requests -= 1
        self.tokens -= place.tokens
        self._of_key[place.key] -= 1
        if not self._of_key[place.key]:
            del self._of_key[place.key]

    def _full(self, tokens: int, most: int) -> Overloaded:
        speed = self.speed
        wait = (self.tokens + tokens - most) / speed if speed else 1.0
        return Overloaded(
            f"The server has as much to do as it can do in time: {self.requests} requests, about "
            f"{self.tokens} tokens. Ask again later.",
            retry_after=min(60, max(1, ceil(wait))),
        )


class Place(AbstractContextManager["Place"]):
    """A request's place, which it leaves at the end of the context.

    Attributes:
        tokens: that it stands for.
        computed: that were.
    """

    def __init__(self, admission: Admission, key: str, tokens: int) -> None:
        self._admission, self.key, self.tokens, self.computed = admission, key, tokens, 0

    def correct(self, tokens: int) -> None:
        """Say what was an estimate before."""
        self._admission.tokens += tokens - self.tokens
        self.tokens = tokens

    def __exit__(self, *exception: object) -> None:
        self._admission.leave(self)
