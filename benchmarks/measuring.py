"""What the benchmarks share: the peer, a clock, a gauge of memory, and how results are told."""

import ctypes
import gc
import gzip
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

from distilbert.core.machine import describe_machine

#: Public data beside the project.
DATA = Path(os.environ.get("DISTILBERT_DATA", "../shared/data"))

#: The ragged mix: rows of each of these files.
MIX = {"sst2.dev": 400, "ag_news.test": 400, "imdb.test_2500": 200}

Work = Callable[[], object]


def ragged_texts(share: float = 1.0, mix: Mapping[str, int] = MIX) -> list[str]:
    """Sentences of film reviews, news and whole reviews, shuffled; or a share of them."""
    texts: list[str] = []
    for name, count in mix.items():
        with gzip.open(DATA / "tasks" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            found = [json.loads(line)["text"] for line in file]
        texts += random.Random(0).sample(found, round(share * count))
    random.Random(0).shuffle(texts)
    return texts


def peer() -> ModuleType:
    """``transformers``, without what it says of itself and without frameworks that nobody asks it for."""
    os.environ.update(USE_TF="0", USE_FLAX="0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

    transformers.logging.set_verbosity_error()
    return transformers


def seconds(run: Work, *, times: int = 1) -> float:
    """Of one of so many runs."""
    cuda = _cuda()
    settle = cuda.synchronize if cuda else lambda: None
    settle()
    started = time.perf_counter()
    for _ in range(times):
        run()
    settle()
    return (time.perf_counter() - started) / times


def in_turn(work: Mapping[str, Work], *, rounds: int, times: int = 1) -> dict[str, list[float]]:
    """Seconds of each contestant, round after round: what else the machine does meets all of them.

    Whoever goes first in a round goes last in the next, as a turn may help or hinder the one after it.
    """
    found: dict[str, list[float]] = {name: [] for name in work}
    for i in range(rounds):
        for name in list(work)[:: -1 if i % 2 else 1]:
            found[name].append(seconds(work[name], times=times))
    return found


def peak_bytes(run: Work) -> int:
    """The most memory that a run held beyond what was there before it; to be called ``apart``.

    All contestants are measured in one process, in turn, and each figure is over what was resident just
    before the run: weights, libraries and other contestants are in none.
    """
    gc.collect()
    if cuda := _cuda():
        cuda.synchronize()
        cuda.reset_peak_memory_stats()
        before = cuda.memory_allocated()
        run()
        cuda.synchronize()
        return cuda.max_memory_allocated() - before
    if sys.platform != "linux":
        sys.exit("Peak memory is read from Linux or from CUDA.")
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark comes down to what is resident
    before = _resident("VmRSS")
    run()
    return _resident("VmHWM") - before


def apart(function: Callable[..., Any], *given: Any) -> Any:
    """What a function gives in a process in which memory can be measured.

    The allocator usually keeps large arrays that were let go of for the next ones, or not, as they happen
    to lie, and a peak is then as much its as the model's. In that process each of them goes back at once.
    That costs time, so that time is measured in another one.
    """
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(function, *given).result()
    finally:
        del os.environ["MALLOC_MMAP_THRESHOLD_"]


def row(
    case: str, metric: str, ours: float, other: str, theirs: float, *, target: float, more: bool = False
) -> dict[str, Any]:
    """A comparison for programs: how many times better ours is (``more`` is better for rates)."""
    return {
        "case": case,
        "metric": metric,
        "ours": ours,
        "peer": other,
        "peer_value": theirs,
        "ratio": ours / theirs if more else theirs / ours,
        "target": target,
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """For people; the first column to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for cells in (header, *rows):
        padded = [f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True)]
        print("  ".join([f"{cells[0]:<{widths[0]}}", *padded]))


def conclude(benchmark: str, rows: Sequence[dict[str, Any]], packages: Sequence[str]) -> None:
    """Where and when it was measured, and a last line for programs."""
    cuda = _cuda()
    machine = {**describe_machine(tuple(packages)), "gpu": cuda.get_device_name() if cuda else None}
    where = f"{machine['cpu']}, {machine['cores']} cores" + (f", {machine['gpu']}" if machine["gpu"] else "")
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    print(f"on {where}; {versions}; {when()}")
    print(json.dumps({"benchmark": benchmark, "machine": machine, "rows": list(rows)}))


def when() -> str:
    """The day, and the commit that was measured."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{date.today().isoformat()}, commit {described.stdout.strip() or 'unknown'}"


def say(line: str) -> None:
    """How far it is."""
    print(line, file=sys.stderr, flush=True)


def _cuda() -> ModuleType | None:
    """``torch.cuda``, where a benchmark has loaded it and a device is there."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch and torch.cuda.is_available() else None


def _resident(which: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{which}:"):
            return 1024 * int(line.split()[1])
    raise AssertionError(which)
