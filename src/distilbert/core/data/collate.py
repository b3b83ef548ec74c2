"""Rows of different lengths to batches of one length, with little padding between them."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np

from distilbert.core.recipe import Finetuning

Ids = np.ndarray[Any, np.dtype[np.int32]]
Indices = np.ndarray[Any, np.dtype[np.int64]]

#: Rows are sorted by length within pools of this many batches: short with short, yet in random company.
POOL = 32


def pad(rows: Sequence[Ids], *, value: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Rows on the left of an array [B, S], ``value`` behind them; S is the longest row's length."""
    padded = np.full((len(rows), max(map(len, rows))), value, np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded


def attention_mask(rows: Sequence[Ids]) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """1 where ``pad`` puts a token and 0 where it puts padding, [B, S]."""
    return pad([np.ones(len(row), np.int32) for row in rows], value=0)


def grouped_batches(
    lengths: "np.ndarray[Any, np.dtype[np.int64]]", *, batch_size: int, rng: np.random.Generator
) -> list[Indices]:
    """One epoch: every row once, in batches of rows of similar length, in random order.

    Args:
        lengths: [rows], in tokens.
        batch_size: rows in a batch; the last one may hold fewer.
        rng: decides the order.
    """
    order = rng.permutation(len(lengths))
    batches: list[Indices] = []
    for start in range(0, len(order), batch_size * POOL):
        pool = order[start : start + batch_size * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def endless_batches(
    lengths: "np.ndarray[Any, np.dtype[np.int64]]", *, batch_size: int, seed: int, done: int = 0
) -> Iterator[tuple[int, Indices]]:
    """Epoch after epoch, each in an order of its own: the epoch's number and a batch's rows.

    The first ``done`` batches are passed over: a run that goes on has had them.
    """
    first, skipped = divmod(done, max(1, -(-len(lengths) // batch_size)))
    for epoch in count(first):
        rng = np.random.default_rng((seed, epoch))
        for batch in grouped_batches(lengths, batch_size=batch_size, rng=rng)[skipped:]:
            yield epoch, batch
        skipped = 0


def length_sorted_batches(
    lengths: "np.ndarray[Any, np.dtype[np.int64]]", *, batch_size: int
) -> Iterator[Indices]:
    """Every row once, the longest first (a batch that does not fit in memory fails at once)."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def step_items(lengths: Indices, labelled: int, recipe: Finetuning, *, done: int) -> Iterator[Indices]:
    """The items of each step, the shortest first: labelled ones, and unlabelled ones where there are any.

    Args:
        lengths: of the labelled items, then of the others.
        labelled: how many have labels.
        recipe: how many of each a step takes, and the seed of their order.
        done: steps that are left out.
    """
    known = endless_batches(lengths[:labelled], batch_size=recipe.batch_size, seed=recipe.seed, done=done)
    more = endless_batches(
        lengths[labelled:], batch_size=recipe.unlabelled_batch_size, seed=recipe.seed, done=done
    )
    for _, items in known:
        if labelled < len(lengths):
            items = np.concatenate([items, next(more)[1] + labelled])
            items = items[np.argsort(lengths[items], kind="stable")]
        yield items
