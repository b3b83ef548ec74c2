"""What keeps a runtime busy: threads that take groups of rows, one for each of its streams."""

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import InvalidStateError
from dataclasses import dataclass, field
from typing import Any

from distilbert.engine.model import Model
from distilbert.engine.runtimes.runtime import Array, Computing
from distilbert.engine.tally import Tally
from distilbert.engine.waiting import Queue, Request, Row, Waiting


class Scheduler:
    """Rows of any number of requests, from any number of threads, through one runtime.

    Args:
        runtime: computes them.
        model: what it computes.
        pad_token_id: stands behind shorter rows.
        budget: tokens of a group.
        tally: what is computed is added to it.
        on_end: is called when nothing more will be asked of the runtime.
    """

    def __init__(
        self,
        runtime: Computing,
        model: Model,
        *,
        pad_token_id: int,
        budget: int,
        tally: Tally,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self._queue = Queue(budget=budget)
        work = _Work(runtime, model, pad_token_id, self._queue, tally)
        # They hold the work and not this object: it ends when nobody has it any more, and they with it.
        self._threads = [
            threading.Thread(target=work.run, name=f"distilbert-{runtime.name}-{i}", daemon=True)
            for i in range(runtime.streams)
        ]
        for thread in self._threads:
            thread.start()
        self._end = weakref.finalize(self, _end, self._queue, self._threads, on_end, os.getpid())

    @property
    def waiting_tokens(self) -> int:
        """Tokens of rows that nobody has begun with."""
        return self._queue.tokens

    def submit(self, rows: Sequence[Row], *, apart: bool = False) -> Request:
        """Have rows computed; the request gives, for each, what the model gives without padding.

        Args:
            rows: any number of them.
            apart: as ``Request``.

        Raises:
            RuntimeError: the scheduler is closed.
        """
        request = Request(rows, apart=apart)
        if rows:
            self._queue.add(request)
        else:
            request.set_result([])
        return request

    def close(self) -> None:
        """End the threads; requests that still wait are cancelled."""
        self._end()


@dataclass(frozen=True)
class _Work:
    runtime: Computing
    model: Model
    pad_token_id: int
    queue: Queue
    tally: Tally
    delivering: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Group after group, until there are no more."""
        while group := self.queue.take():
            self._compute(group)

    def _compute(self, group: Sequence[Waiting]) -> None:
        """A group; where that fails, each request's part of it by itself, so that no other fails with it."""
        try:
            found = self._found([waiting.row for waiting in group])
        except BaseException as error:  # whoever waits has to hear of it, whatever it is
            requests = {id(waiting.request): waiting.request for waiting in group}
            if len(requests) == 1:
                _settle(group[0].request, error)
                return
            for own in requests.values():
                self._compute([waiting for waiting in group if waiting.request is own])
            return
        self._deliver(group, found)

    def _found(self, rows: Sequence[Row]) -> list[tuple[Array, ...]]:
        lengths: list[int | None] = [None] * len(rows)
        if self.model.asked:
            lengths = [len(row.asked) for row in rows if row.asked is not None]
        elif self.model.answers_tokens:
            lengths = [len(row.ids) for row in rows]
        outputs = self.runtime.run(self.model.feed(rows, pad_token_id=self.pad_token_id))
        # Copies: a row is not to hold the memory of its whole group.
        return [
            tuple(output[i, :length].copy() if length else output[i].copy() for output in outputs)
            for i, length in enumerate(lengths)
        ]

    def _deliver(self, group: Sequence[Waiting], found: Sequence[Any]) -> None:
        lengths = [len(waiting.row.ids) for waiting in group]
        self.tally.add(groups=1, rows=len(group), tokens=sum(lengths), places=len(group) * max(lengths))
        done = []
        with self.delivering:
            for waiting, own in zip(group, found, strict=True):
                request = waiting.request
                request.found[waiting.place] = own
                request.left -= 1
                if not request.left:
                    done.append(request)
        for request in done:
            _settle(request)


def _settle(request: Request, error: BaseException | None = None) -> None:
    """Tell whoever waits, unless nobody does."""
    try:
        if error is None:
            request.set_result(request.found)
        else:
            request.set_exception(error)
    except InvalidStateError:
        pass  # cancelled meanwhile, or already failed


def _end(
    queue: Queue,
    threads: Sequence[threading.Thread],
    on_end: Callable[[], None] | None,
    process: int,
) -> None:
    if os.getpid() != process:  # a copy of the process, in which there are no such threads
        return
    for request in queue.clear():
        request.cancel()
    queue.close()
    if on_end is not None:
        on_end()
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join()
