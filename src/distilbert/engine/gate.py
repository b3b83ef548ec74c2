"""Whether what computes more coarsely still answers the same: held against fp32, on the user's own data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from distilbert.core.data.readers import OwnReader
from distilbert.core.data.token_rows import Array
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.folders import TaskFolder
from distilbert.core.tasks.likeness import likeness
from distilbert.core.tasks.metrics import lower_is_better
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding, judging
from distilbert.engine.computer import BUDGET
from distilbert.engine.items import calibrated_logits
from distilbert.engine.long_texts import Reading, read
from distilbert.engine.model import Model
from distilbert.engine.runtimes.runtime import Runtime
from distilbert.engine.scheduler import Scheduler
from distilbert.engine.tally import Tally
from distilbert.engine.waiting import Row
from distilbert.errors import CheckpointError

#: Rows that are asked about at a time, so that progress shows.
_LOT = 128


@dataclass(frozen=True)
class Limits:
    """What must be kept.

    Attributes:
        agreement: with fp32, as ``AGREEMENTS`` counts it, at least.
        metric_loss: of the task's first metric, at most, in points of a hundred.
    """

    agreement: float = 0.99
    metric_loss: float = 0.5


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        agreement: with fp32, as ``AGREEMENTS`` counts it; None where what is computed is no numbers.
        metric: the task's first; None where the data have no answers.
        value: of that metric.
        loss: by how much it is worse than that of fp32, in points of a hundred.
        shift, greatest: by how much what is told differs from fp32's, in the mean and at most.
        failed: in words, where a limit was not kept; else empty.
    """

    agreement: float | None
    metric: str | None = None
    value: float | None = None
    loss: float | None = None
    shift: float | None = None
    greatest: float | None = None
    failed: str = ""

    @property
    def passed(self) -> bool:
        return not self.failed


class Gate:
    """Examples that fp32 has answered, and the limits within which others must answer likewise.

    Args:
        opened: the folder.
        examples: with their true answers, or without.
        reference: computes in fp32.
        limits: to keep.
        on_long: what becomes of long texts, as an engine has it.
        progress: told of rows that are computed.
    """

    def __init__(
        self,
        opened: TaskFolder,
        examples: Examples,
        reference: Runtime,
        *,
        limits: Limits,
        on_long: str = "window",
        progress: Progress = silent,
    ) -> None:
        self._opened, self._examples, self._limits, self._progress = opened, examples, limits, progress
        self._judged = opened.task.target in examples.columns and (
            not isinstance(opened.task, SentenceEmbedding) or opened.task.can_judge(examples)
        )
        self._task = judging(opened.task, examples) if self._judged else opened.task
        self._pad = (reader := OwnReader(opened.tokenizer)).pad_token_id
        self._reading: Reading = read(
            opened.task, reader, examples, max_length=opened.max_length, on_long=on_long
        )
        self._reference = self._logits(reference, "fp32")

    @property
    def rows(self) -> list[Row]:
        """What a model reads of the examples."""
        return self._reading.rows

    def verdict(self, runtime: Runtime, name: str) -> Verdict:
        """What becomes of the answers on a runtime.

        Args:
            runtime: computes the same model.
            name: for whoever watches.
        """
        try:
            logits = self._logits(runtime, name)
        except CheckpointError as error:
            return Verdict(None, failed=f"logits that are no numbers: {error.received}")
        found = likeness(self._task, logits, self._reference, self._examples, self._reading.items)
        value, loss = None, None
        if self._metric is not None:
            value = self._score(logits)
            loss = 100 * (self._true_score - value)
            loss = -loss if lower_is_better(self._metric) else loss
        failed = []
        if not found.agreement >= self._limits.agreement:
            failed.append(f"agreement {found.agreement:.2%}")
        if loss is not None and not loss <= self._limits.metric_loss:
            failed.append(f"{loss:.2f} points of {self._metric} lost")
        return Verdict(
            found.agreement, self._metric, value, loss, found.shift, found.greatest, ", ".join(failed)
        )

    @cached_property
    def _metric(self) -> str | None:
        """What judges, where the data say what is true."""
        return next(iter(self._task.metrics)) if self._judged else None

    @cached_property
    def _true_score(self) -> float:
        return self._score(self._reference)

    @cached_property
    def _truth(self) -> Any:
        return self._task.truth(self._examples, source="the data")

    def _score(self, logits: Sequence[Array]) -> float:
        assert self._metric is not None
        told = self._task.told(logits, self._examples, self._reading.items)
        return float(self._task.metrics[self._metric](self._truth, told))

    def _logits(self, runtime: Runtime, name: str) -> Sequence[Array]:
        found = [own for lot in self._lots(runtime, name) for own in lot]
        return calibrated_logits(self._opened, found, self._reading)

    def _lots(self, runtime: Runtime, name: str) -> Iterator[list[tuple[Array, ...]]]:
        """What the model gives for each row, some at a time, computed as an engine has it computed."""
        rows, stage = self._reading.rows, f"judge {name}"
        scheduler = Scheduler(
            runtime, Model.of(self._opened), pad_token_id=self._pad, budget=BUDGET, tally=Tally()
        )
        try:
            requests = [scheduler.submit(rows[at : at + _LOT]) for at in range(0, len(rows), _LOT)]
            for number, request in enumerate(requests):
                self._progress(stage, number * _LOT, len(rows), {})
                yield request.result()
            self._progress(stage, len(rows), len(rows), {})
        finally:
            scheduler.close()
