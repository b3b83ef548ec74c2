"""Rows that wait to be computed, and which of them are computed together.

A call costs something of itself, and padding costs what tokens cost. So whoever has waited longest is next,
and takes along rows of the same length, then of lengths nearby, as long as the padding that a row brings
costs less than a call of its own would.

Requests that stand apart, such as those of several clients, take turns by tokens: a row's turn comes when as
many tokens have had theirs as its own request has before it (start-time fair queueing, Goyal et al. 1996).
So a short request waits for a part of a long one, and never for all of it.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from threading import Condition
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

Ids = np.ndarray[Any, np.dtype[np.int32]]

#: What a call costs of itself, in tokens: about a seventh of one of 128, on processors of two kinds.
CALL_COSTS = 16


@dataclass(frozen=True)
class Row:
    """What a model reads at once.

    Attributes:
        ids: of its tokens.
        second: the column at which its second text begins; 0 where there is one text.
        asked: the columns of the tokens that a model is asked about, of one that is told.
    """

    ids: Ids
    second: int = 0
    asked: Ids | None = None


class Request(Future[list[Any]]):
    """Rows whose results are wanted together: what the model gives for each, in their order.

    ``cancel`` succeeds until the last of them is computed, and what of them still waits never is.

    Args:
        rows: what is to be computed.
        apart: it takes turns with others; those that do not stand in one line, as they came.
    """

    def __init__(self, rows: Sequence[Row], *, apart: bool = False) -> None:
        super().__init__()
        self.rows, self.apart = rows, apart
        self.tokens = sum(len(row.ids) for row in rows)
        #: When the first of them was taken, by the clock of ``time.perf_counter``.
        self.begun: float | None = None
        self.found: list[Any] = [None] * len(rows)
        self.left = len(rows)


class Waiting(NamedTuple):
    """One row of a request. It is as early as its turn, in tokens, and of one turn as its number."""

    turn: int
    number: int
    request: Request
    place: int

    @property
    def row(self) -> Row:
        return self.request.rows[self.place]


class Queue:
    """Rows by length, each length's a heap by their turns. Any number of threads may use it.

    Args:
        budget: tokens of a group, padding included; a longer row is a group of its own.
    """

    def __init__(self, *, budget: int) -> None:
        self._budget = budget
        self._by_length: dict[int, list[Waiting]] = {}
        self._numbers = count()
        self._changed = Condition()
        self._tokens = 0
        self._taking = 0
        self._closed = False
        #: The turn that it is, and the first that is free behind the line of those who do not stand apart.
        self._turn = self._line = 0

    @property
    def tokens(self) -> int:
        """Of rows that wait."""
        return self._tokens

    def add(self, request: Request) -> None:
        """Have a request's rows wait.

        Raises:
            RuntimeError: nobody takes rows any more.
        """
        with self._changed:
            if self._closed:
                raise RuntimeError("rows were added to a queue that is closed")
            turn = self._turn if request.apart else max(self._turn, self._line)
            for place, row in enumerate(request.rows):
                self._push(Waiting(turn, next(self._numbers), request, place))
                turn += len(row.ids)
            if not request.apart:
                self._line = turn
            self._changed.notify_all()

    def take(self) -> list[Waiting]:
        """The next group, when there is one; none when the queue is closed and empty."""
        with self._changed:
            self._taking += 1
            try:
                while True:
                    self._drop_unwanted()
                    if self._by_length:
                        return self._group()
                    if self._closed:
                        return []
                    self._changed.wait()
            finally:
                self._taking -= 1

    def close(self) -> None:
        """Take no further rows; those that wait are still given out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def clear(self) -> list[Request]:
        """Let go of all rows that wait, and tell whose they are."""
        with self._changed:
            requests = {id(w.request): w.request for own in self._by_length.values() for w in own}
            self._by_length.clear()
            self._tokens = 0
            return list(requests.values())

    def _drop_unwanted(self) -> None:
        """Rows at the front of requests that were cancelled or have failed; others are met when they get
        there.
        """
        for length, own in list(self._by_length.items()):
            while own and own[0].request.done():
                heappop(own)
                self._tokens -= length
            if not own:
                del self._by_length[length]

    def _group(self) -> list[Waiting]:
        length = min(self._by_length, key=lambda known: self._by_length[known][0][:2])
        self._turn = max(self._turn, self._by_length[length][0].turn)
        # Few rows are dealt out among those who have nothing else to do.
        room = min(self._budget, max(self._tokens // self._taking, length, 8 * CALL_COSTS))
        group, longest = [self._pop(length)], length
        for other in self._outwards(length):
            while other in self._by_length:
                reached = max(longest, other)
                padding = (reached - longest) * len(group) + reached - other
                if padding > CALL_COSTS or reached * (len(group) + 1) > room:
                    break
                waiting = self._pop(other)
                if not waiting.request.done():
                    group.append(waiting)
                    longest = reached
        taken = usual(len(group))
        for waiting in group[taken:]:
            self._push(waiting)
        begun = perf_counter()
        for waiting in group[:taken]:
            waiting.request.begun = waiting.request.begun or begun
        return group[:taken]

    def _outwards(self, length: int) -> Iterator[int]:
        """The lengths that there are, the nearest first."""
        near = [known for known in self._by_length if abs(known - length) <= CALL_COSTS]
        return iter(sorted(near, key=lambda known: abs(known - length)))

    def _pop(self, length: int) -> Waiting:
        own = self._by_length[length]
        waiting = heappop(own)
        self._tokens -= length
        if not own:
            del self._by_length[length]
        return waiting

    def _push(self, waiting: Waiting) -> None:
        length = len(waiting.row.ids)
        heappush(self._by_length.setdefault(length, []), waiting)
        self._tokens += length


def usual(count: int) -> int:
    """Of so many rows, how many are taken at once: one of a few numbers.

    A runtime makes itself ready for each shape of a batch that it meets, and keeps what it has made: for all
    numbers of rows by all lengths its memory grows for hours.
    """
    return count - count % (1 if count <= 8 else 4 if count <= 32 else 16)
