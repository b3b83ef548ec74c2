"""A model on a runtime, kept busy, in whichever process asks."""

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager

from distilbert.core import rules
from distilbert.engine.model import Model
from distilbert.engine.runtimes import open_runtime
from distilbert.engine.runtimes.workers import Workers
from distilbert.engine.scheduler import Scheduler
from distilbert.engine.tally import Tally
from distilbert.engine.waiting import Request, Row

#: Tokens that are computed together: from here on processors are no faster for more.
BUDGET = 512


class Computer(AbstractContextManager["Computer"]):
    """Rows in, what the model gives out. Threads may share it, and a forked process opens it anew when it
    first asks.

    Args:
        model: what to compute.
        pad_token_id: stands behind shorter rows.
        runtime: "onnx", "openvino" or "torch", in fp32; "auto" is what ``optimize`` has verified for this
            machine, else the first of them that is installed.
        streams: batches that are computed at once; None is one for each core.
        threads: that share a batch; None deals the cores out among the streams.
        budget: tokens that are computed together.
        workers: processes that compute, each with its streams; None computes in the one that asks.

    Raises:
        CheckpointError: weights are missing or damaged.
        ConfigError: a setting that cannot be.
        MissingExtraError: no such runtime is installed.
    """

    def __init__(
        self,
        model: Model,
        *,
        pad_token_id: int,
        runtime: str = "auto",
        streams: int | None = None,
        threads: int | None = None,
        budget: int = BUDGET,
        workers: int | None = None,
    ) -> None:
        count = rules.optional(rules.integer(1))
        self._model, self._pad = model, pad_token_id
        self._runtime = runtime
        self._streams, self._threads = count("streams", streams), count("threads", threads)
        self._workers = count("workers", workers)
        self._budget = rules.integer(1)("budget", budget)
        #: By process: a lock that was held when a process was forked would stay so in it.
        self._opening: dict[int, threading.Lock] = {}
        self._open()

    @property
    def runtime(self) -> str:
        """The name of what computes."""
        return self._opened.name

    @property
    def precision(self) -> str:
        """What it computes in: "fp32", "bf16", "int8" or "int8+bf16"."""
        return self._opened.precision

    @property
    def workers(self) -> Workers | None:
        """The processes that compute, where these are others."""
        return self._opened if isinstance(self._opened, Workers) else None

    def submit(self, rows: Sequence[Row], *, apart: bool = False) -> Request:
        """Have rows computed; the request gives, for each, what the model gives without padding.

        Args:
            rows: any number of them.
            apart: take turns with all other rows, as ``Request`` says, and do not stand behind them.
        """
        process = os.getpid()
        if process != self._process:  # a forked one has none of its parent's threads
            with self._opening.setdefault(process, threading.Lock()):
                if process != self._process:
                    self._open()
        return self._scheduler.submit(rows, apart=apart)

    def close(self) -> None:
        """Let go of the runtime; what still waits is cancelled."""
        if os.getpid() == self._process:
            self._scheduler.close()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open(self) -> None:
        #: What was computed so far, in this process.
        self.tally = Tally()
        self._opened = open_runtime(
            self._model,
            self._runtime,
            streams=self._streams,
            threads=self._threads,
            workers=self._workers,
        )
        self._scheduler = Scheduler(
            self._opened,
            self._model,
            pad_token_id=self._pad,
            budget=self._budget,
            tally=self.tally,
            on_end=None if self.workers is None else self.workers.close,
        )
        self._process = os.getpid()
