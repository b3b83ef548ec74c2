"""Lot after lot: some are tokenised and computed while earlier ones are answered."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar

from distilbert.engine.waiting import Request

#: Examples of a lot, and lots under way: enough of each length, and few enough for answers to come while
#: texts still do.
LOT, AHEAD = 512, 8


class Begun(Protocol):
    """A lot under way."""

    @property
    def requests(self) -> Sequence[Request]:
        """What its answers wait for."""


Given = TypeVar("Given")
Lot = TypeVar("Lot", bound=Begun)
Answer = TypeVar("Answer")


def lots_of(rows: Iterable[Given], size: int | None = None) -> Iterator[list[Given]]:
    """Rows, as many at a time as make a lot: usually ``LOT``."""
    source = iter(rows)
    return iter(lambda: list(islice(source, size or LOT)), [])


def through(
    lots: Iterator[Given], begin: Callable[[Given], Lot], finish: Callable[[Lot], Iterable[Answer]]
) -> Iterator[Answer]:
    """The answers of all lots, in order and in constant memory.

    Args:
        lots: read in the thread that reads the answers.
        begin: tokenises a lot and has it computed; in another thread.
        finish: waits for it and answers.
    """
    waiting: deque[Future[Lot]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="distilbert-tokens") as ahead:
        try:
            while True:
                while len(waiting) < AHEAD and not (waiting and _is_done(waiting[0])):
                    lot = next(lots, None)
                    if lot is None:
                        break
                    waiting.append(ahead.submit(begin, lot))
                if not waiting:
                    return
                yield from finish(waiting.popleft().result())
        finally:
            for left in waiting:
                if not left.cancel() and left.exception() is None:
                    for request in left.result().requests:
                        request.cancel()


def _is_done(lot: "Future[Lot]") -> bool:
    """Whether its answers can be had without waiting."""
    if not lot.done() or lot.exception() is not None:
        return lot.done()
    return all(request.done() for request in lot.result().requests)
