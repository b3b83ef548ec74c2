"""Rows come back whole, to whom they belong, whatever else is computed beside them."""

import gc
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilbert import BertConfig, DistilBertConfig
from distilbert.core.parameters import Head
from distilbert.engine.model import Model
from distilbert.engine.scheduler import Scheduler
from distilbert.engine.tally import Tally
from distilbert.engine.waiting import Row


@dataclass
class Echo:
    """A runtime that gives back what it is given, and remembers it."""

    streams: int = 2
    name: str = "echo"
    fed: list[Any] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def run(self, feed: Any) -> Any:
        self.gate.wait()
        self.fed.append(feed)
        if (feed["input_ids"] == 13).any():
            raise MemoryError("no room for 13")
        return [feed["input_ids"].astype(np.float32)]


def scheduler(
    echo: Echo,
    *,
    head: Head = Head.TOKEN_CLASSIFICATION,
    config: Any = None,
    open_gate: bool = True,
    tally: Tally | None = None,
) -> Scheduler:
    if open_gate:
        echo.gate.set()
    model = Model(Path(), config or DistilBertConfig(), head)
    return Scheduler(echo, model, pad_token_id=7, budget=64, tally=tally or Tally())


def rows(*lengths: int, start: int = 100) -> list[Row]:
    return [Row(np.arange(start, start + length, dtype=np.int32)) for length in lengths]


def test_every_row_comes_back_in_its_place_without_padding() -> None:
    echo = Echo()
    with_end = scheduler(echo)
    rng = np.random.default_rng(0)
    found: dict[int, Any] = {}

    def ask(number: int) -> None:
        given = rows(*rng.integers(2, 40, 30).tolist(), start=1000 * (number + 1))
        found[number] = given, with_end.submit(given).result(timeout=30)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for given, results in found.values():
        for row, (own,) in zip(given, results, strict=True):
            np.testing.assert_array_equal(own, row.ids)
    with_end.close()


def test_padding_is_the_folders_and_masked() -> None:
    echo = Echo(streams=1)
    with_end = scheduler(echo)
    with_end.submit(rows(9, 12)).result(timeout=30)
    (feed,) = echo.fed
    assert feed["input_ids"][0, 9:].tolist() == [7, 7, 7]
    assert feed["attention_mask"].sum(axis=1).tolist() == [9, 12]
    assert "token_type_ids" not in feed


def test_a_bert_is_told_of_second_texts() -> None:
    echo = Echo(streams=1)
    ids = np.arange(100, 106, dtype=np.int32)
    given = [Row(ids, 4), Row(ids[:5], 0)]
    with_end = scheduler(echo, config=BertConfig())
    with_end.submit(given).result(timeout=30)
    assert echo.fed[0]["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1], [0] * 6]


def test_a_failure_is_told_to_those_whom_it_meets_and_to_no_others() -> None:
    echo = Echo(streams=1)
    with_end = scheduler(echo)
    good, bad = with_end.submit(rows(5)), with_end.submit([*rows(40), Row(np.array([13], np.int32))])
    assert len(good.result(timeout=30)) == 1
    with pytest.raises(MemoryError, match="13"):
        bad.result(timeout=30)
    assert len(with_end.submit(rows(3)).result(timeout=30)) == 1  # and the stream goes on


def test_a_cancelled_request_leaves_room_for_others() -> None:
    echo = Echo(streams=1)
    with_end = scheduler(echo, open_gate=False)
    first = with_end.submit(rows(60))
    while with_end.waiting_tokens:
        time.sleep(0.001)
    unwanted, wanted = with_end.submit(rows(*[50] * 5)), with_end.submit(rows(20))
    assert with_end.waiting_tokens == 270
    assert unwanted.cancel()
    echo.gate.set()
    wanted.result(timeout=30)
    first.result(timeout=30)
    assert len(echo.fed) == 2


def test_the_tally_counts_padding() -> None:
    echo = Echo(streams=1)
    tally = Tally()
    with_end = scheduler(echo, head=Head.SEQUENCE_CLASSIFICATION, tally=tally)
    with_end.submit(rows(10, 12)).result(timeout=30)
    assert (tally.groups, tally.rows, tally.tokens, tally.places) == (1, 2, 22, 24)
    assert tally.padding == pytest.approx(2 / 24)


def test_threads_end_with_the_scheduler() -> None:
    gc.collect()  # of those before it
    before = threading.active_count()
    with_end = scheduler(Echo(streams=3))
    assert threading.active_count() == before + 3
    del with_end
    gc.collect()
    assert threading.active_count() == before
    closed = scheduler(Echo(streams=2))
    closed.close()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        closed.submit(rows(3))
    assert scheduler(Echo()).submit([]).result() == []
