"""Do all tasks come out as with the peer, whatever the task and the length of the texts?

A real pretrained BERT (all-MiniLM-L6-v2, 6 layers of width 384) and a student of half its layers are
fine-tuned on nine tasks: by ours, and as the peer's model classes under its Trainer, from the same weights,
on the same examples in the same batches, with one optimiser, schedule and precision, under several seeds.
Both are judged on the same rows by the same metrics. Subsets are learnt from, as two cores demand it, and of
some sets no published split is at hand:

  squad     learnt from are the first articles of the training set and 30 of the 48 of the development set,
            without answers whose place is a guess; judged by are the other 18
  qnli, cosmosqa
            the development sets, split
  topics    several labels at once: the first 20 words each of one, two or three reports of ag_news, end to
            end; the labels are the reports' topics. No report is used twice, and what is judged by is made of
            reports of the test set

The student is the one that `retention.py` has distilled, where it is there; else it has half of the teacher's
layers as they were cut, and the table says so.

Every score is kept when it is made: a run that is stopped goes on where it was, and the table shows what is
there.

  python benchmarks/tasks.py                  all that is missing; some two hours on two cores
  python benchmarks/tasks.py --hours 0.5      no further cell is begun after that
  python benchmarks/tasks.py --table          nothing is run; what is there
  python benchmarks/tasks.py --quick          two steps of everything, to see that it works
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import conclude, row, say, table
from peer_training import PeerTraining
from study import (
    Cell,
    Cells,
    Task,
    at_hand,
    compared,
    fine_tuned,
    mean_and_interval,
    pretrained,
    rows_in,
    scratch,
    shown,
    squad,
)

from distilbert import BertForMaskedLM, DistilBertTokenizerFast, Finetuning, convert, read_examples, shrink

RESULTS = Path(__file__).parent / "results" / "tasks"
DISTILLED = Path("build/retention/two-cores/distilled")
HALF = 3
OURS, PEER = "ours", "peer"

#: Of a report.
WORDS = 20


@dataclass(frozen=True)
class Subject:
    """A task, and what its recipe has of its own."""

    task: Task
    changes: Mapping[str, Any] = field(default_factory=dict)


def topics(name: str) -> list[dict[str, Any]]:
    """Reports end to end, with the topics of all of them."""
    reports = rows_in(at_hand(name))
    rng = np.random.default_rng(0)
    left = [reports[i] for i in rng.permutation(len(reports))]
    rows = []
    while len(left) >= 3:
        parts = [left.pop() for _ in range(int(rng.integers(1, 4)))]
        text = " ".join(" ".join(part["text"].split()[:WORDS]) for part in parts)
        rows.append({"text": text, "labels": sorted({str(part["label"]) for part in parts})})
    return rows


_TEXT, _PAIR = ("text", "label"), ("text_a", "text_b", "label")
SUBJECTS = {
    "sst2": Subject(
        Task(at_hand("sst2.train"), at_hand("sst2.dev"), "accuracy", 4000, 872, _TEXT),
        {"epochs": 3},
    ),
    "ag_news": Subject(
        Task(at_hand("ag_news.train_part"), at_hand("ag_news.test"), "accuracy", 2000, 1500, _TEXT)
    ),
    "imdb": Subject(
        Task(at_hand("imdb.train_2500"), at_hand("imdb.test_2500"), "accuracy", 800, 600, _TEXT),
        {"epochs": 1, "batch_size": 16, "max_length": 512},
    ),
    "stsb": Subject(
        Task(
            at_hand("stsb.train"), at_hand("stsb.dev"), "spearman", 3000, 1500, ("text_a", "text_b", "score")
        ),
    ),
    "qnli": Subject(Task(at_hand("qnli.dev"), at_hand("qnli.dev"), "accuracy", 2500, 1463, _PAIR)),
    "wnut17": Subject(
        Task(at_hand("wnut17.train"), at_hand("wnut17.test"), "f1", 3394, 1287, ("tokens", "ner")),
    ),
    "squad": Subject(
        Task(
            partial(squad, judged=False), partial(squad, judged=True), "f1", 2400, 800,
            ("question", "context", "answers"), "question-answering",
        ),
        {"batch_size": 16, "max_length": 384},
    ),
    "cosmosqa": Subject(
        Task(
            at_hand("cosmosqa.dev"), at_hand("cosmosqa.dev"), "accuracy", 800, 500,
            ("context", "question", "choices", "answer"), "multiple-choice",
        ),
        {"epochs": 1, "batch_size": 16, "max_length": 192},
    ),
    "topics": Subject(
        Task(
            partial(topics, "ag_news.train_part"), partial(topics, "ag_news.test"), "micro_f1", 2000, 1000,
            task="multi-label-classification",
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How much of everything; ``name`` is the folder of the results."""

    name: str
    recipe: Finetuning
    subjects: dict[str, Subject]
    seeds: int


FULL = Settings(
    name="two-cores",
    # The last weights are judged: those that looked best would have been chosen by the rows of the table.
    recipe=Finetuning(
        eval_share=0.0,
        looks_per_epoch=0.0,
        epochs=2,
        learning_rate=1e-4,
        new_weights_rate=5.0,
        batch_size=32,
        max_length=128,
    ),
    subjects=SUBJECTS,
    seeds=3,
)
QUICK = Settings(
    name="quick",
    recipe=FULL.recipe,
    subjects={
        name: replace(
            subject,
            # All tags have to be met; two steps of so many rows are no more than of a few.
            task=replace(subject.task, rows=None if name == "wnut17" else 24, judged=24),
            changes={**subject.changes, "steps": 2, "batch_size": 4},
        )
        for name, subject in SUBJECTS.items()
    },
    seeds=1,
)


class Study:
    """The models, made when they are first needed, and the scores of each.

    Args:
        settings: how much of everything.
        models: the folder for models and drawn rows.
        results: the folder for scores.
        distilled: a student's folder, which may not be there.
    """

    def __init__(self, settings: Settings, models: Path, results: Path, distilled: Path) -> None:
        self.settings, self.models, self.distilled = settings, models / settings.name, distilled
        self.models.mkdir(parents=True, exist_ok=True)
        self.cells = Cells(results / settings.name)
        self.student = "distilled" if distilled.exists() else "undistilled"

    def missing(self) -> list[Cell]:
        return self.cells.missing(
            (f"{model} {whose}", name, seed)
            for seed in range(self.settings.seeds)
            for name in self.settings.subjects
            for model in ("teacher", self.student)
            for whose in (OURS, PEER)
        )

    def model(self, name: str) -> Path:
        """The folder of a model that is begun with."""
        if name == "distilled":
            return self.distilled
        folder = self.models / name
        if name == "teacher" and not folder.exists():
            convert(pretrained(), to="safetensors", out=folder)
        elif not folder.exists():
            with scratch(self.models) as place:
                # A cut student has its teacher's head for hidden words; nothing here uses it.
                whole = Path(place) / "whole"
                torch.manual_seed(0)
                BertForMaskedLM.from_pretrained(pretrained()).save_pretrained(whole)
                DistilBertTokenizerFast.from_pretrained(pretrained()).save_pretrained(whole)
                shrink(whole, layers=HALF, out=folder)
        return folder

    def score(self, variant: str, name: str, seed: int) -> None:
        """Fine-tune, judge, and keep the score."""
        subject = self.settings.subjects[name]
        files = subject.task.drawn(name, self.models)
        recipe = self.settings.recipe.with_changes(**subject.changes, seed=seed)
        model, whose = variant.split()
        learn: Callable[..., dict[str, Any]] = fine_tuned_by_peer
        if whose == OURS:
            learn = fine_tuned
        with scratch(self.models) as place:
            facts = learn(self.model(model), subject.task, files, recipe, out=Path(place) / "model")
        self.cells.add((variant, name, seed), facts)


def fine_tuned_by_peer(
    model: Path, task: Task, files: Sequence[Path], recipe: Finetuning, *, out: Path
) -> dict[str, Any]:
    """As ``fine_tuned``, with the peer's classes; nothing is written to ``out``."""
    train, test = (read_examples(path, task=task.task) for path in files)
    started = time.perf_counter()
    tuned = PeerTraining(model, train, recipe)
    tuned.train()
    scores = tuned.scores(test, task.metric.split(" and "))
    return {
        "scores": scores,
        "score": statistics.mean(scores.values()),
        "rows": {"train": len(train), "judged": len(test)},
        "steps": recipe.total_steps(len(tuned.rows)),
        "seconds": time.perf_counter() - started,
    }


def lines_of(study: Study, scores: Mapping[Cell, float]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """A line for each model and task of which there are scores, and the same for programs."""
    for model in ("teacher", "distilled", "undistilled"):
        for name, subject in study.settings.subjects.items():
            ours, theirs = (
                [
                    value
                    for (who, what, _), value in sorted(scores.items())
                    if (who, what) == (f"{model} {whose}", name)
                ]
                for whose in (OURS, PEER)
            )
            if not ours or not theirs:
                continue
            difference, verdict = compared(ours, theirs)
            metric = subject.task.metric
            cells = [shown(*mean_and_interval(found)) for found in (ours, theirs)]
            yield (
                [f"{model}, {name}", metric, *cells, difference, verdict],
                row(
                    f"{model}, {name}", metric, statistics.mean(ours), "transformers, Trainer",
                    statistics.mean(theirs), target=1.0, more=True,
                ),
            )  # fmt: skip


def show(study: Study) -> None:
    found = list(lines_of(study, study.cells.scores()))
    print(f"means of {study.settings.seeds} seeds, 95% intervals; undistilled: layers as they were cut")
    table(["", "metric", "ours", "peer", "difference", "by seeds"], [line for line, _ in found])
    judged = [line[-1] for line, _ in found if line[-1]]
    if judged:
        counts = ", ".join(f"{judged.count(word)} {word}" for word in ("within", "above", "below"))
        print(f"of {len(judged)} differences {counts} what seeds make of it")
    if missing := len(study.missing()):
        print(f"{missing} cells are not there yet")
    conclude("tasks", [made for _, made in found], ("torch", "transformers", "tokenizers", "numpy"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hours", type=float, default=math.inf, help="begin no further cell after so many")
    parser.add_argument("--models", type=Path, default=Path("build/tasks"), help="where models are kept")
    parser.add_argument("--student", type=Path, default=DISTILLED, help="a distilled student's folder")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument(
        "--quick", action="store_true", help="two steps of everything; its figures mean nothing"
    )
    args = parser.parse_args()
    settings, results = (QUICK, args.models) if args.quick else (FULL, RESULTS)
    study = Study(settings, args.models, results, args.student)
    started = time.monotonic()
    for cell in [] if args.table else study.missing():
        if time.monotonic() - started > 3600 * args.hours:
            break
        say("{}, {}, seed {}, {:.0f} minutes in".format(*cell, (time.monotonic() - started) / 60))
        study.score(*cell)
    show(study)


if __name__ == "__main__":
    main()
