"""What may be asked of a server that wants money for it, and what has been."""

import threading
from typing import Any

from distilbert.core import rules
from distilbert.core.teachers.replies import Reply
from distilbert.errors import ConfigError

_amount = rules.optional(rules.number(0, float("inf")))


class Purse:
    """Counts requests and money, and says when either has come to an end. Several threads may use it.

    A request is let through only if the most that it can cost still fits beside the most that those under
    way can, so that the limit holds whatever comes back, as far as the server counts honestly.

    Args:
        price_in: of a million tokens that are read, in any currency.
        price_out: of a million tokens that are written.
        max_calls: requests that may be sent.
        max_cost: what all answers together may cost, those kept from earlier included.

    Raises:
        ConfigError: a limit on money without prices, or a negative one.
    """

    def __init__(
        self,
        *,
        price_in: float | None = None,
        price_out: float | None = None,
        max_calls: int | None = None,
        max_cost: float | None = None,
    ) -> None:
        self.priced = price_in is not None or price_out is not None
        self._in = _amount("price_in", price_in) or 0.0
        self._out = _amount("price_out", price_out) or 0.0
        self._max_calls = rules.optional(rules.integer(0))("max_calls", max_calls)
        self._max_cost = _amount("max_cost", max_cost)
        if self._max_cost is not None and not self.priced:
            raise ConfigError(
                "A greatest cost needs prices to count with.",
                received=f"max_cost={max_cost:g} and no price",
                remedy="Give prices of a million tokens: --price-in P --price-out P",
            )
        self._lock = threading.Lock()
        self._reserved = 0.0
        self.calls = self.kept = self.read = self.written = 0
        self.cost = 0.0
        #: Why nothing more may be asked, once that is so.
        self.closed: str | None = None

    def admit(self, read: int, written: int) -> bool:
        """Whether one more request may be sent that reads and writes at most so many tokens."""
        most = self.price(read, written)
        with self._lock:
            if self._max_cost is not None and self.cost + self._reserved + most > self._max_cost:
                self.closed = f"the greatest cost, {self._max_cost:g}"
                return False
            if not self._count_call():
                return False
            self._reserved += most
            self.closed = None
            return True

    def admit_again(self) -> bool:
        """Whether a request that failed may be sent once more; what it can cost is still set aside."""
        with self._lock:
            if self._max_cost is not None and self.cost + self._reserved > self._max_cost:
                self.closed = f"the greatest cost, {self._max_cost:g}"
                return False
            return self._count_call()

    def lose(self, read: int, written: int) -> None:
        """A request brought no answer and may have been charged all the same."""
        with self._lock:
            self._enter(Reply(""), read, written)

    def settle(self, read: int, written: int, reply: Reply | None) -> None:
        """A request that was admitted has ended, with a reply or without."""
        with self._lock:
            self._reserved -= self.price(read, written)
            self._enter(reply, read, written)

    def enter_kept(self, reply: Reply, read: int, written: int) -> None:
        """An answer from earlier."""
        with self._lock:
            self.kept += 1
            self._enter(reply, read, written)

    def account(self) -> dict[str, Any]:
        """Requests sent, answers from earlier, tokens, and the cost where there are prices."""
        found: dict[str, Any] = {
            "requests": self.calls,
            "kept_from_earlier": self.kept,
            "tokens_read": self.read,
            "tokens_written": self.written,
        }
        return {**found, "cost": round(self.cost, 6)} if self.priced else found

    def _count_call(self) -> bool:
        if self._max_calls is not None and self.calls + self.kept >= self._max_calls:
            self.closed = f"the greatest number of requests, {self._max_calls}"
            return False
        self.calls += 1
        return True

    def _enter(self, reply: Reply | None, read: int, written: int) -> None:
        if reply is not None:
            self.cost += self.price(read, written, reply)
            read, written = _counted(reply, read, written)
            self.read, self.written = self.read + read, self.written + written

    def price(self, read: int, written: int, reply: Reply | None = None) -> float:
        """Of so many tokens at most, or of those that the server counted."""
        if reply is not None:
            read, written = _counted(reply, read, written)
        return (read * self._in + written * self._out) / 1e6


def _counted(reply: Reply, read: int, written: int) -> tuple[int, int]:
    """Tokens as the server counts them; where it does not say, the most."""
    return read if reply.read is None else reply.read, written if reply.written is None else reply.written
