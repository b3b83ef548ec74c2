"""What an engine costs before its first answer, and whether it costs more by its millionth."""

import gzip
import itertools
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from measuring import DATA, ragged_texts, row, say, table

ROWS = 1_000_000
STARTS = 5
#: Megabytes that may be resident, by streams.
LIMITS = {2: 350, 1: 300}

#: What a new process runs until it has answered; then so many more texts, and what memory it has.
_START = """
import json, sys
from distilbert import load
engine = load(sys.argv[1], runtime=sys.argv[2], streams=int(sys.argv[3]))
engine("A fine day.")
print(engine.runtime, engine.precision, flush=True)
engine(json.loads(sys.stdin.readline()))
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")][0])
"""


def start(bench: Any) -> list[dict[str, Any]]:
    """From the start of a process to its first answer, and its memory when it has answered a hundred more."""
    rows, shown = [], []
    texts = json.dumps(ragged_texts(0.1)) + "\n"
    for runtime in ("auto", "onnx"):
        for streams, limit in LIMITS.items():
            say(f"start {runtime} with {streams} streams")
            spent, memory, what = [], 0, ""
            for _ in range(STARTS):
                seconds, what, memory = _first_answer(bench.folder, runtime, streams, texts)
                spent.append(seconds)
            middle = statistics.median(spent)
            shown.append(
                [f"{what}, {streams} streams", f"{middle:.2f}", f"{min(spent):.2f}", f"{memory:.0f}"]
            )
            if runtime == "auto":
                case = f"ours, {what}, {streams} streams, {bench.size}"
                rows += [
                    row(f"{case}: start of a process to its first answer", "seconds", middle,
                        "what is wanted", 1.0, target=1.0),
                    row(f"{case}: resident after a hundred texts", "mb", memory, "what is wanted", limit,
                        target=1.0),
                ]  # fmt: skip
    print(f"\nstart of a process to its first answer, {bench.size}")
    table(("", "median s", "least s", "MB resident"), shown)
    return rows


def _first_answer(folder: Path, runtime: str, streams: int, texts: str) -> tuple[float, str, float]:
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", _START, folder, runtime, str(streams)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        what = process.stdout.readline().strip()
        spent = time.perf_counter() - started
        memory = process.communicate(texts)[0]
    return spent, what, int(memory) / 1024


def million(bench: Any) -> list[dict[str, Any]]:
    """Short rows out of a file and into one, in a process that does nothing else."""
    count = ROWS // (100 if bench.quick else 1)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = pool.submit(answered, bench.folder, count).result()
    tenths, what = found["tenths"], found["what"]
    print(
        f"\n{count:,} short rows, {what}, {bench.size}: {found['seconds']:.0f} s, "
        f"{found['padding']:.1%} padding"
    )
    table(("tenth", "MB resident in the mean"), [[f"{i}", f"{mb:.1f}"] for i, mb in enumerate(tenths, 1)])
    case = f"ours, {what}: {count} short rows, {bench.size}"
    return [
        row(f"{case}, the last tenth", "mb", tenths[-1], "the first tenth and a twentieth",
            1.05 * tenths[0], target=1.0),
        row(case, "share_of_padding", max(found["padding"], 1e-6), "what is wanted", 0.03, target=1.0),
    ]  # fmt: skip


def answered(folder: Path, count: int) -> dict[str, Any]:
    """Answer so many rows, with a look at the memory every thousand."""
    from distilbert import answer_file, load

    looks: list[float] = []

    def look(stage: str, done: int, total: int | None, facts: Any) -> None:
        looks.append(_resident())
        if done % (count // 10) < 1024:
            say(f"{done:,} rows")

    with tempfile.TemporaryDirectory() as scratch, load(folder) as engine:
        path = Path(scratch, "rows.jsonl")
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in itertools.islice(_phrases(), count))
        started = time.perf_counter()
        answer_file(engine, path, Path(scratch, "answers.jsonl"), progress=look)
        spent = time.perf_counter() - started
        tenths = [float(own.mean()) for own in np.array_split(looks[1:], 10)]
        what = f"{engine.runtime} {engine.precision}"
        return {"tenths": tenths, "padding": engine.tally.padding, "seconds": spent, "what": what}


def _phrases() -> Iterator[str]:
    """Of film reviews, over and over, each with its number before it, so that no two are the same."""
    with gzip.open(DATA / "tasks" / "sst2.train.jsonl.gz", "rt", encoding="utf-8") as file:
        phrases = [json.loads(line)["text"] for line in file]
    return (f"{number} {phrase}" for number, phrase in enumerate(itertools.cycle(phrases)))


def _resident() -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024
