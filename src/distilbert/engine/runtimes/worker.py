"""What runs in a process of ``Workers``: it computes what it is sent, until nobody sends any more."""

import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection

from distilbert.engine.runtimes import open_runtime
from distilbert.engine.runtimes.runtime import Computing
from distilbert.errors import DistilBertError


def main(ends: Sequence[int]) -> None:
    """Open a model and compute batches of it; one at a time for each of the sockets."""
    # Whoever stops a service may tell all its processes; this one ends when the server has no more for it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lanes = [Connection(end) for end in ends]
    try:
        model, name, streams, threads = lanes[0].recv()
        runtime = open_runtime(model, name, streams=streams, threads=threads)
    except DistilBertError as error:
        lanes[0].send(error)
        return
    except EOFError:  # the server has ended meanwhile
        return
    lanes[0].send((runtime.name, runtime.precision))
    answering = [threading.Thread(target=_answer, args=(runtime, lane)) for lane in lanes]
    for thread in answering:
        thread.start()
    for thread in answering:
        thread.join()


def _answer(runtime: Computing, lane: Connection) -> None:
    while True:
        try:
            feed = lane.recv()
        except (EOFError, OSError):
            return
        try:
            found: object = list(runtime.run(feed))
        except Exception as error:  # whoever waits has to hear of it, whatever it is
            found = f"{type(error).__name__}: {error}"
        try:
            lane.send(found)
        except OSError:
            return
