"""A runtime in processes of their own: one that dies takes its batches along, and another takes its place."""

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

from distilbert.engine.model import Model
from distilbert.engine.runtimes.runtime import Array
from distilbert.errors import DistilBertError, WorkerError

logger = logging.getLogger(__name__)

#: Seconds in which a process is there, or another in its place.
_PATIENCE = 120.0

#: Seconds from the end of a process to the start of the next: at first, and at most where they end again.
_PAUSE, _LONGEST_PAUSE = 0.05, 5.0

#: Seconds of a life that was short.
_SHORT = 30.0

#: What a process runs. It finds packages where this one does, and nothing of its main file is run again.
_CODE = (
    "import sys; sys.path[:] = {path!r}; from distilbert.engine.runtimes.worker import main; main({ends!r})"
)


class Workers:
    """A model that processes compute. Any number of threads may ask.

    Args:
        model: what to compute.
        name: of the runtime in each of them, as ``open_runtime`` has it.
        workers: how many processes.
        streams: batches at once in each.
        threads: that share one of these.

    Attributes:
        alive: processes that are there.
        replaced: that have died.

    Raises:
        DistilBertError: as ``open_runtime``.
        WorkerError: they do not start.
    """

    def __init__(self, model: Model, name: str, *, workers: int, streams: int, threads: int) -> None:
        self._job = model, name, streams, threads
        self.streams = workers * streams
        self.alive = self.replaced = 0
        self._free: list[Connection] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        opened: list[Future[tuple[str, str]]] = [Future() for _ in range(workers)]
        for first in opened:
            threading.Thread(target=self._keep, args=(first,), name="distilbert-worker", daemon=True).start()
        try:
            said = [first.result(_PATIENCE) for first in opened]
        except TimeoutError:
            self.close()
            raise _died(f"none within {_PATIENCE:.0f} seconds") from None
        except BaseException:
            self.close()
            raise
        self.name, self.precision = said[0]

    def run(self, feed: Mapping[str, Array]) -> Sequence[Array]:
        """As ``Runtime.run``.

        Raises:
            WorkerError: the process that computed it has, or none comes in the place of those that have.
        """
        while True:
            lane = self._take()
            try:
                lane.send(dict(feed))
                break
            except OSError:  # it was dead before it had heard of this batch
                lane.close()
        try:
            found: Sequence[Array] | str = lane.recv()
        except (EOFError, OSError):
            lane.close()
            raise _died("one that ended while it computed") from None
        except BaseException:
            lane.close()  # with half an answer in it
            raise
        self._give(lane)
        if isinstance(found, str):
            raise RuntimeError(found)
        return found

    def close(self) -> None:
        """End the processes, each when it has answered what it computes. Who waits for one is refused."""
        self._closing.set()
        with self._changed:
            for lane in self._free:
                lane.close()
            self._free.clear()
            self._changed.notify_all()

    def _take(self) -> Connection:
        with self._changed:
            there = self._changed.wait_for(lambda: self._free or self._closing.is_set(), _PATIENCE)
            if not there or self._closing.is_set():
                raise _died("none that is there")
            return self._free.pop(0)

    def _give(self, *lanes: Connection) -> None:
        with self._changed:
            if self._closing.is_set():
                for lane in lanes:
                    lane.close()
            else:
                self._free += lanes
                self._changed.notify_all()

    def _keep(self, first: "Future[tuple[str, str]]") -> None:
        """Have a process, and another when it has died. In a thread of its own."""
        pause = _PAUSE
        while not self._closing.is_set():
            begun = time.monotonic()
            try:
                worker = _Worker.start(self._job)
            except (DistilBertError, OSError) as error:
                if not first.done():
                    first.set_exception(error)
                    return
                logger.error("a process that computes did not start: %s", error)
            else:
                self._live(worker, first)
            self._closing.wait(pause)
            short = time.monotonic() - begun < _SHORT
            pause = min(2 * pause, _LONGEST_PAUSE) if short else _PAUSE

    def _live(self, worker: "_Worker", first: "Future[tuple[str, str]]") -> None:
        """Have a process compute until it has ended."""
        with self._changed:
            self.alive += 1
        self._give(*worker.lanes)
        if not first.done():
            first.set_result(worker.opened)
        status = worker.process.wait()
        with self._changed:
            self.alive -= 1
            self.replaced += not self._closing.is_set()
            for lane in worker.lanes:
                # What is in nobody's hands; whoever has one finds out by himself.
                if lane in self._free:
                    self._free.remove(lane)
                    lane.close()
        if not self._closing.is_set():
            logger.error("a process that computes has died (status %s): another is started", status)


def _died(received: str) -> WorkerError:
    return WorkerError(
        "A batch is computed by a process that lives until it has answered.",
        received=received,
        remedy="Ask again: another takes its place.",
    )


@dataclass(frozen=True)
class _Worker:
    """A process with its model open.

    Attributes:
        process: as the system has it.
        lanes: the sockets by which it is sent batches.
        opened: the name and the precision of what computes in it.
    """

    process: "subprocess.Popen[bytes]"
    lanes: Sequence[Connection]
    opened: tuple[str, str]

    @classmethod
    def start(cls, job: tuple[Any, ...]) -> Self:
        """A process that has opened a model.

        Args:
            job: the model, the runtime's name, streams and threads.

        Raises:
            DistilBertError: it cannot be opened, or the process ended before it could say so.
            OSError: the system has no room for it.
        """
        _, _, streams, _ = job
        pairs = [socket.socketpair() for _ in range(streams)]
        ends = [end.fileno() for _, end in pairs]
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _CODE.format(path=sys.path, ends=ends)],
                pass_fds=ends,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Ctrl-C at a terminal is for the server, which ends them when it has finished.
                start_new_session=True,
            )
        finally:
            for _, end in pairs:
                end.close()
        lanes = [Connection(own.detach()) for own, _ in pairs]
        try:
            lanes[0].send(job)
            said: tuple[str, str] | DistilBertError = lanes[0].recv()
        except (EOFError, OSError):
            raise _died(f"one that ended at its start with status {process.wait()}") from None
        if isinstance(said, DistilBertError):
            process.wait()
            raise said
        return cls(process, lanes, said)
