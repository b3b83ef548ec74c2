"""Full batches of fixed shapes through the engine and its peers, and what of the machine they use.

The machine's roofline in 8 bits is measured too: the best rate at which OpenVINO multiplies large square
matrices of whole numbers, with all cores on one product or one product on each.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from engine_elsewhere import Elsewhere
from measuring import in_turn, row, say, table

from distilbert import pipeline
from distilbert.core.config import read_config
from distilbert.core.flops import of_blocks
from distilbert.core.machine import usable_cores
from distilbert.engine.waiting import Row

SHAPES = ((1, 16), (1, 128), (8, 128), (32, 32), (8, 384))
CORES = usable_cores()
ROUNDS = 7
#: Seconds of a turn, at least.
TURN = 0.5
#: Products in a row, and the rows and columns of each.
DEEP, WIDE = 4, 2048


def shapes(bench: Any) -> list[dict[str, Any]]:
    """Batch after batch, each asked for when the one before is answered, or two under way."""
    peers, other = bench.peers, bench.ctranslate2
    engines = {
        streams: bench.stack.enter_context(pipeline("text-classification", bench.folder, streams=streams))
        for streams in sorted({1, CORES})
    }
    first = engines[1]
    ours = f"ours, {first.runtime} {first.precision}"
    config = read_config(bench.folder)
    roof = peak(0.1 if bench.quick else 1.0)
    print(f"\nroofline in 8 bits, measured: {roof / 1e9:.0f} G operations a second on {CORES} cores")
    rows, shown = [], []
    for size, length in SHAPES[:2] if bench.quick else SHAPES:
        say(f"batches of {size} by {length}")
        ids = np.random.default_rng(0).integers(1000, config.vocab_size, (size, length))
        work: dict[str, Callable[[int], None]] = {}
        for streams, engine in engines.items():
            work[f"{ours}, {streams} at once"] = partial(_ours, engine, ids, streams)
        for name, peer in peers.items():
            work[name] = partial(_again, peer.compute, ids)
        by_hand = peers["OpenVINO int8 by hand"]
        work[f"OpenVINO int8 by hand, {CORES} at once"] = partial(_under_way, by_hand, ids)
        if isinstance(other, Elsewhere):
            work["CTranslate2 int8"] = partial(_shape_elsewhere, other, ids)
        rates = _rates(work, size * length, TURN / 10 if bench.quick else TURN)
        done = {
            True: of_blocks(config, [length] * size, first_only=True),
            False: of_blocks(config, [length] * size),
        }
        for name, rate in rates.items():
            share = rate * done[name.startswith("ours")] / (size * length) / roof
            shown.append(
                [f"({size}, {length}) {name}", f"{rate:.0f}", f"{share:.0%}" if "int8" in name else ""]
            )
        best = max((name for name in rates if name.startswith("ours")), key=rates.__getitem__)
        theirs = max((name for name in rates if not name.startswith("ours")), key=rates.__getitem__)
        case = f"{best}: full batches of ({size}, {length}), ids to logits, {bench.size}"
        rows.append(row(case, "tokens_per_s", rates[best], theirs, rates[theirs], target=0.97, more=True))
    print(f"full batches, ids to logits, {bench.size}; the share is of the work that each does")
    table(("", "tokens/s", "of the roofline"), shown)
    return rows


def _rates(work: dict[str, Callable[[int], None]], tokens: int, turn: float) -> dict[str, float]:
    """Tokens a second: the median of turns, in each of which a contestant has as many batches as it needs."""
    times = {}
    for name, run in work.items():
        run(2)
        started = time.perf_counter()
        run(2)
        times[name] = 2 * max(1, round(turn / (time.perf_counter() - started)))
    spent = in_turn({name: partial(run, times[name]) for name, run in work.items()}, rounds=ROUNDS)
    return {name: tokens * times[name] / statistics.median(own) for name, own in spent.items()}


def _again(compute: Callable[[Any], None], ids: Any, times: int) -> None:
    for _ in range(times):
        compute(ids)


def _ours(engine: Any, ids: Any, streams: int, times: int) -> None:
    """With so many batches under way."""
    rows = [Row(own) for own in ids.astype(np.int32)]
    under_way = [engine.begin_rows(rows).submit() for _ in range(min(streams, times))]
    for number in range(times):
        under_way.pop(0).result()
        if number + streams < times:
            under_way.append(engine.begin_rows(rows).submit())


def _under_way(peer: Any, ids: Any, times: int) -> None:
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    peer.several(iter([feed] * times))


def _shape_elsewhere(other: Elsewhere, ids: Any, times: int) -> None:
    other.ask("shape", ids=ids.tolist(), times=times)


def peak(seconds: float) -> float:
    """Operations a second of products of 8 bits, at the best."""
    import openvino

    core = openvino.Core()
    graph = _products()
    rates = []
    for streams in sorted({1, CORES}):
        compiled = core.compile_model(graph, "CPU", {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": CORES})
        queue = openvino.AsyncInferQueue(compiled, streams)
        feed = {0: np.random.default_rng(0).normal(size=(WIDE, WIDE)).astype(np.float32)}
        for turn in range(ROUNDS + 1):
            started, times = time.perf_counter(), 0
            while times < 2 * streams or time.perf_counter() - started < seconds:
                queue.start_async(feed)
                times += 1
            queue.wait_all()
            if turn:  # the first is to warm up
                rates.append(times * DEEP * 2 * WIDE**3 / (time.perf_counter() - started))
    return max(rates)


def _products() -> Any:
    """Products in a row, each of 8 bits: so that what is done to the first states and the last is little."""
    import openvino
    from openvino import opset13 as op

    def eight_bits(x: Any, low: float, high: float, levels: int) -> Any:
        ends = [np.float32(low), np.float32(high)] * 2
        return op.fake_quantize(x, *ends, levels)

    rng = np.random.default_rng(0)
    given = state = op.parameter([WIDE, WIDE], np.float32)
    for _ in range(DEEP):
        weight = op.constant(rng.normal(scale=WIDE**-0.5, size=(WIDE, WIDE)).astype(np.float32))
        limit = 4 * WIDE**-0.5
        state = op.matmul(
            eight_bits(state, -4, 4 * 127 / 128, 256), eight_bits(weight, -limit, limit, 255), False, True
        )
    return openvino.Model([op.result(state)], [given], "products")
