"""How fast, how large and how hungry a folder is on this machine, as whoever opens it finds it."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.machine import usable_cores
from distilbert.core.tasks.examples import Examples
from distilbert.engine.engine import Engine
from distilbert.errors import TrainingError

#: Texts that are asked about one by one, and times that all of them are, at least and at most.
TEXTS, LEAST_TURNS, TURNS = 64, 3, 5

#: Student's t that 97.5% lie below, by the number of values that a deviation is of.
_QUANTILES = {3: 4.303, 4: 3.182, 5: 2.776}

#: Parts of the examples by their length, each as many.
PARTS = 4

#: What stands in a folder beside the files that answer.
NOT_COUNTED = ("proof.json", "proof.jsonl", "report.html", "README.md")

#: What a new process does that answers; it says its resident memory in bytes.
_PROCESS = """
import json, sys
from distilbert.engine.engine import Engine
rows = json.loads(sys.stdin.read())
engine = Engine.load(sys.argv[1], streams=1)
list(engine.stream(rows))
try:
    with open("/proc/self/status") as file:
        told = next(1024 * int(line.split()[1]) for line in file if line.startswith("VmRSS"))
except OSError:
    from distilbert.core.training.runs import peak_of_process
    told = peak_of_process()
sys.stdout.write(str(told or 0))
"""


@dataclass(frozen=True)
class Figure:
    """A measured value with the interval in which it lay."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        """The median of several turns, and where 95% of further ones would lie if their ratios were normal.

        What turns differ by is what else the machine does, so that few turns make a wide interval.
        """
        logs = np.log(values)
        beyond = _QUANTILES[len(logs)] * logs.std(ddof=1) * np.sqrt(1 + 1 / len(logs))
        middle, value = logs.mean(), statistics.median(values)
        low, high = (float(np.exp(end)) for end in (middle - beyond, middle + beyond))
        return cls(value, min(low, value), max(high, value))

    @classmethod
    def exactly(cls, value: float) -> "Figure":
        return cls(value, value, value)


def measure(
    folder: str | Path, examples: Examples, *, seconds: float, memory: bool = True
) -> dict[str, Figure]:
    """A folder's figures here, by term: p50 and p99 in milliseconds, texts/s, size and memory in MB.

    Args:
        folder: of a model that answers the examples, opened by ``load`` as anybody does.
        examples: real ones; at most ``TEXTS`` are drawn, evenly.
        seconds: that speed is measured at most, beside one turn of everything.
        memory: whether a process of its own is started to see what it holds.
    """
    rows = drawn(examples)
    with Engine.load(folder, streams=1, threads=usable_cores()) as engine:
        found = latencies(engine.answers, rows, seconds=seconds / 2)
    with Engine.load(folder) as engine:
        found["texts/s"] = _rate(engine.answers, rows, seconds / 2)
    found["size"] = Figure.exactly(size_of(folder) / 1e6)
    if memory:
        found["memory"] = resident(folder, rows)
    return found


def drawn(examples: Examples, most: int = TEXTS) -> Examples:
    """Some of the examples, spread over all."""
    count = min(most, len(examples))
    return examples.take([i * len(examples) // count for i in range(count)])


def latencies(answers: Callable[[Examples], Any], rows: Examples, *, seconds: float) -> dict[str, Figure]:
    """p50 and p99 of one example alone, in milliseconds: of each turn through all of them."""
    alone = [rows.take([i]) for i in range(len(rows))]
    for one in alone[: len(alone) // 2]:  # to warm up
        answers(one)
    turns: list[list[float]] = []
    begun = time.perf_counter()
    while len(turns) < LEAST_TURNS or (len(turns) < TURNS and time.perf_counter() - begun < seconds):
        turn = []
        for one in alone:
            started = time.perf_counter()
            answers(one)
            turn.append(1000 * (time.perf_counter() - started))
        turns.append(turn)
    return {
        name: Figure.of([float(np.percentile(turn, percent)) for turn in turns])
        for name, percent in (("p50", 50), ("p99", 99))
    }


def by_length(answers: Callable[[Examples], Any], examples: Examples) -> list[dict[str, float]]:
    """p50 and p99 in milliseconds of one example alone, in parts of as many by their characters."""
    sizes = [sum(map(len, row)) for row in examples.rows(*text_columns(examples))]
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    found = []
    for part in np.array_split(np.array(order), PARTS):
        if not len(part):
            continue
        spent = []
        for i in part.tolist():
            one = examples.take([i])
            started = time.perf_counter()
            answers(one)
            spent.append(1000 * (time.perf_counter() - started))
        ends = {"shortest": sizes[part[0]], "longest": sizes[part[-1]], "rows": len(part)}
        found.append({**ends, "p50": float(np.percentile(spent, 50)), "p99": float(np.percentile(spent, 99))})
    return found


def text_columns(examples: Examples) -> list[str]:
    """The text, or both of a pair."""
    return [name for name in ("text", "text_b") if name in examples.columns]


def _rate(answers: Callable[[Examples], Any], rows: Examples, seconds: float) -> Figure:
    """Examples a second, many at once."""
    answers(rows)
    rates: list[float] = []
    begun = time.perf_counter()
    while len(rates) < LEAST_TURNS or (len(rates) < TURNS and time.perf_counter() - begun < seconds):
        started, done = time.perf_counter(), 0
        while not done or time.perf_counter() - started < seconds / TURNS:
            answers(rows)
            done += len(rows)
        rates.append(done / (time.perf_counter() - started))
    return Figure.of(rates)


def counted_files(folder: str | Path) -> list[Path]:
    """The files of a folder that answer, in the order of their names."""
    folder = Path(folder)
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in NOT_COUNTED
    ]


def size_of(folder: str | Path) -> int:
    """The bytes of these."""
    return sum(path.stat().st_size for path in counted_files(folder))


def resident(folder: str | Path, rows: Examples) -> Figure:
    """What a process of its own holds when it has answered, in MB.

    Raises:
        TrainingError: it did not answer.
    """
    names = list(rows.columns)
    given = [dict(zip(names, row, strict=True)) for row in rows.rows(*names)]
    command = [sys.executable, "-c", _PROCESS, str(folder)]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
    if done.returncode:
        raise TrainingError(
            "A finished folder must answer in a new process.",
            received=(done.stderr.strip().splitlines() or ["no word"])[-1][:200],
            remedy="Try it by hand: distilbert predict --model DIR TEXT",
        )
    return Figure.exactly(int(done.stdout) / 1e6)


def measure_model(opened: Any, examples: Examples, *, seconds: float) -> dict[str, Figure]:
    """p50, p99 and texts/s of a model that no engine computes: of another family, by PyTorch."""
    rows = drawn(examples)

    def answers(some: Examples) -> Any:
        return opened.item_logits(opened.rows(some))

    found = latencies(answers, rows, seconds=seconds / 2)
    found["texts/s"] = _rate(answers, rows, seconds / 2)
    return found
