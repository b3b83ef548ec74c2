"""Which rows are computed together."""

import threading

import numpy as np
import pytest

from distilbert.engine.waiting import CALL_COSTS, Queue, Request, Row, Waiting


def request(*lengths: int) -> Request:
    return Request([Row(np.arange(length, dtype=np.int32)) for length in lengths])


def lengths(group: list[Waiting]) -> list[int]:
    return [len(waiting.row.ids) for waiting in group]


def emptied(queue: Queue) -> list[list[int]]:
    queue.close()
    groups = []
    while group := queue.take():
        groups.append(lengths(group))
    return groups


def test_rows_of_one_length_go_together_and_the_oldest_first() -> None:
    queue = Queue(budget=512)
    queue.add(request(200, 10, 200, 10))
    assert emptied(queue) == [[200, 200], [10, 10]]


def test_no_group_is_beyond_the_budget_but_a_single_row() -> None:
    queue = Queue(budget=128)
    queue.add(request(*[40] * 7, 300))
    assert emptied(queue) == [[40] * 3, [40] * 3, [40], [300]]


def test_a_row_joins_while_its_padding_costs_less_than_a_call() -> None:
    queue = Queue(budget=512)
    queue.add(request(100, 100 - CALL_COSTS, 100 + CALL_COSTS + 1))
    assert emptied(queue) == [[100, 100 - CALL_COSTS], [100 + CALL_COSTS + 1]]
    queue = Queue(budget=512)
    queue.add(request(20, 20, 20, 26))  # 26 would pad three rows by six
    assert emptied(queue) == [[20, 20, 20], [26]]


def test_groups_have_few_sizes() -> None:
    """A runtime keeps what it has made for each shape."""
    queue = Queue(budget=512)
    queue.add(request(*[length for length in range(3, 61) for _ in range(512 // length)]))
    sizes = {len(group) for group in emptied(queue)}
    assert all(size <= 8 or size % 4 == 0 for size in sizes)
    assert all(size <= 32 or size % 16 == 0 for size in sizes)
    # As many of each length as there is room for would have these.
    assert not {512 // length for length in range(3, 61)} <= sizes
    queue = Queue(budget=512)
    queue.add(request(*[10] * 47))
    assert [len(group) for group in emptied(queue)] == [32, 12, 3]


def test_ragged_rows_are_hardly_padded_and_none_is_lost() -> None:
    rng = np.random.default_rng(0)
    given = rng.integers(3, 60, 4000).tolist()
    queue = Queue(budget=512)
    queue.add(request(*given))
    groups = emptied(queue)
    assert sorted(length for group in groups for length in group) == sorted(given)
    places = sum(len(group) * max(group) for group in groups)
    assert 1 - sum(given) / places < 0.03
    assert all(len(group) * max(group) <= 512 for group in groups)
    # In the order in which they come, the same rows are a third padding.
    as_they_come = [given[i : i + 8] for i in range(0, len(given), 8)]
    assert 1 - sum(given) / sum(len(group) * max(group) for group in as_they_come) > 0.3


def test_few_rows_are_shared_among_those_who_are_free() -> None:
    queue = Queue(budget=512)
    taken: list[list[int]] = []

    def take() -> None:
        taken.append(lengths(queue.take()))

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    while queue._taking < 2:
        pass
    queue.add(request(*[40] * 10))
    for thread in threads:
        thread.join()
    assert sorted(map(len, taken)) == [5, 5]


def test_what_is_cancelled_is_not_computed() -> None:
    queue = Queue(budget=100)
    unwanted, wanted = request(50, 50, 50, 50), request(50, 50)
    queue.add(unwanted)
    queue.add(wanted)
    assert lengths(queue.take()) == [50, 50]
    assert unwanted.cancel()
    assert queue.tokens == 200
    assert [waiting.request for waiting in queue.take()] == [wanted, wanted]
    assert emptied(queue) == []
    assert queue.tokens == 0


def test_a_closed_queue_takes_nothing_more() -> None:
    queue = Queue(budget=100)
    queue.close()
    assert queue.take() == []
    with pytest.raises(RuntimeError, match="closed"):
        queue.add(request(3))


def test_requests_that_stand_apart_take_turns_by_their_tokens() -> None:
    queue = Queue(budget=100)
    long, short, late = request(*[100] * 5), request(90), request(*[80] * 3)
    for one in (long, short, late):
        one.apart = True
    queue.add(long)
    queue.add(short)
    assert lengths(queue.take()) == [100]
    assert lengths(queue.take()) == [90]  # and not behind all that came before it
    queue.add(late)
    assert [queue.take()[0].request for _ in range(7)] == [late, late, long, late, long, long, long]
    assert queue.tokens == 0


def test_the_others_stand_in_one_line() -> None:
    queue = Queue(budget=100)
    first, second, apart = request(*[100] * 3), request(*[90] * 2), request(80)
    apart.apart = True
    for one in (first, second, apart):
        queue.add(one)
    taken = [queue.take()[0].request for _ in range(6)]
    assert [one for one in taken if one is not apart] == [first, first, first, second, second]
    assert taken.index(apart) <= 1
