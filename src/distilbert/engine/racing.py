"""How fast runtimes are on this machine, measured in turn, so that whatever else it does slows all alike."""

import statistics
import time
from collections.abc import Mapping, Sequence

import numpy as np

from distilbert.core.progress import Progress, silent
from distilbert.engine.computer import BUDGET
from distilbert.engine.model import Model
from distilbert.engine.runtimes.runtime import Runtime
from distilbert.engine.scheduler import Scheduler
from distilbert.engine.tally import Tally
from distilbert.engine.waiting import Row

#: Turns that each takes, and tokens that it computes at least in one.
TURNS, _TOKENS = 5, 2048


def rates(
    runtimes: Mapping[str, Runtime],
    model: Model,
    rows: Sequence[Row],
    *,
    pad_token_id: int,
    seconds: float,
    seed: int,
    progress: Progress = silent,
) -> dict[str, float]:
    """Tokens a second of each runtime, the median of its turns.

    Args:
        runtimes: by whatever names.
        model: what they compute.
        rows: of which some are drawn.
        pad_token_id: stands behind shorter ones.
        seconds: that each is given in all.
        seed: of the drawing.
        progress: told of every turn.
    """
    drawn = _drawn(rows, seed)
    tokens = sum(len(row.ids) for row in drawn)
    schedulers = {
        name: Scheduler(runtime, model, pad_token_id=pad_token_id, budget=BUDGET, tally=Tally())
        for name, runtime in runtimes.items()
    }
    found: dict[str, list[float]] = {name: [] for name in runtimes}
    try:
        for turn in range(TURNS + 1):
            for number, (name, scheduler) in enumerate(schedulers.items()):
                progress("measure", turn * len(runtimes) + number, (TURNS + 1) * len(runtimes), {})
                rate = _rate(scheduler, drawn, tokens, seconds / TURNS if turn else 0.0)
                if turn:  # the first is to warm up
                    found[name].append(rate)
    finally:
        for scheduler in schedulers.values():
            scheduler.close()
    progress("measure", 1, 1, {})
    return {name: statistics.median(own) for name, own in found.items()}


def _rate(scheduler: Scheduler, rows: Sequence[Row], tokens: int, seconds: float) -> float:
    started, times = time.perf_counter(), 0
    while not times or time.perf_counter() - started < seconds:
        scheduler.submit(rows).result()
        times += 1
    return times * tokens / (time.perf_counter() - started)


def _drawn(rows: Sequence[Row], seed: int) -> list[Row]:
    """Rows of about as many tokens as a turn has."""
    order = np.random.default_rng(seed).permutation(len(rows))
    drawn, tokens = [], 0
    while tokens < _TOKENS:
        for i in order:
            drawn.append(rows[i])
            tokens += len(rows[i].ids)
            if tokens >= _TOKENS:
                break
    return drawn
