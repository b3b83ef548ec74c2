"""The tables of the DistilBERT paper (Sanh et al. 2019), to be filled again by whoever has the weights.

A teacher and its student are fine-tuned alike and judged as the paper did: GLUE's development sets, the
median of five seeds; IMDb and SQuAD, the last with a second distillation, from the fine-tuned teacher, as
well; parameters, and one pass over stsb.dev with one text at a time; the ablation, which is retention.py's.
The paper's own rows stand beside what is found. A task of which no rows are at hand is named, and left out.

Every score is kept when it is made; the table shows what is there, and what is absent.

  python benchmarks/paper.py                        on the data at hand, with retention.py's models
  python benchmarks/paper.py --teacher DIR --student DIR --glue DIR
                                                    GLUE as published: DIR/CoLA/train.tsv and so on
  python benchmarks/paper.py --glue nyu-mll/glue    by name, where the network is
  python benchmarks/paper.py --hours 1              no further score is begun after that
  python benchmarks/paper.py --table                nothing is run
  python benchmarks/paper.py --quick                a few steps; its figures mean nothing
"""

import argparse
import csv
import gzip
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from measuring import conclude, in_turn, row, say, table
from retention import FULL, QUICK, RESULTS, Study, ablation_table
from study import Cell, Cells, Task, at_hand, fine_tuned, rows_in, scratch, squad

from distilbert.core.files import write_atomically

FINETUNING = FULL.finetune.with_changes(learning_rate=5e-5)


@dataclass(frozen=True)
class Published:
    """A task of GLUE: where its published folder and its rows in ``datasets`` hold what, and its score.

    The paper does not say what its scores of mrpc and qqp are; here they are accuracies.
    """

    folder: str
    texts: tuple[str, ...]
    metric: str
    label: str = "label"
    judged: str = "dev.tsv"
    #: Of a file without a header.
    header: tuple[str, ...] = ()
    #: Names in ``datasets``, where they differ.
    named: tuple[str, ...] = ()
    split: str = "validation"


GLUE = {
    "cola": Published(
        "CoLA",
        ("sentence",),
        "matthews",
        header=("source", "label", "mark", "sentence"),
        named=("sentence",),
    ),
    "mnli": Published(
        "MNLI",
        ("sentence1", "sentence2"),
        "accuracy",
        label="gold_label",
        judged="dev_matched.tsv",
        named=("premise", "hypothesis"),
        split="validation_matched",
    ),
    "mrpc": Published(
        "MRPC", ("#1 String", "#2 String"), "accuracy", label="Quality", named=("sentence1", "sentence2")
    ),
    "qnli": Published("QNLI", ("question", "sentence"), "accuracy"),
    "qqp": Published("QQP", ("question1", "question2"), "accuracy", label="is_duplicate"),
    "rte": Published("RTE", ("sentence1", "sentence2"), "accuracy"),
    "sst2": Published("SST-2", ("sentence",), "accuracy"),
    "stsb": Published("STS-B", ("sentence1", "sentence2"), "pearson and spearman", label="score"),
    "wnli": Published("WNLI", ("sentence1", "sentence2"), "accuracy"),
}
#: Table 1: GLUE's development sets.
TABLE_1 = {
    "paper: ELMo": (44.1, 68.6, 76.6, 71.1, 86.2, 53.4, 91.5, 70.4, 56.3),
    "paper: BERT-base": (56.3, 86.7, 88.6, 91.8, 89.6, 69.3, 92.7, 89.0, 53.5),
    "paper: DistilBERT": (51.3, 82.2, 87.5, 89.2, 88.5, 59.9, 91.3, 86.9, 56.3),
}
#: Table 2: IMDb, accuracy; SQuAD 1.1, exact match and F1.
TABLE_2 = {
    "paper: BERT-base": ("93.46", "81.2 / 88.5"),
    "paper: DistilBERT": ("92.82", "77.7 / 85.8"),
    "paper: DistilBERT, taught again": ("", "79.1 / 86.9"),
}
#: Table 3: millions of parameters, and seconds of a pass over stsb.dev, text by text, on a Xeon E5-2690 v3.
TABLE_3 = {"paper: ELMo": (180, 895), "paper: BERT-base": (110, 668), "paper: DistilBERT": (66, 410)}

#: What is at hand of them, less than the whole where it says so.
AT_HAND = {
    "sst2": Task(at_hand("sst2.train"), at_hand("sst2.dev"), "accuracy", 8000, None, ("text", "label")),
    "stsb": Task(
        at_hand("stsb.train"),
        at_hand("stsb.dev"),
        "pearson and spearman",
        columns=("text_a", "text_b", "score"),
    ),
    "qnli": Task(
        at_hand("qnli.dev"), at_hand("qnli.dev"), "accuracy", 4000, 1463, ("text_a", "text_b", "label")
    ),
}
IMDB = Task(at_hand("imdb.train_2500"), at_hand("imdb.test_2500"), "accuracy", columns=("text", "label"))
SQUAD = Task(
    partial(squad, judged=False),
    partial(squad, judged=True),
    "exact_match and f1",
    columns=("question", "context", "answers"),
    task="question-answering",
)


class Paper:
    """The scores of two models, made when they are asked for.

    Args:
        teacher, student: their folders.
        tasks: of GLUE, as far as they are at hand.
        place: the folder for rows and fine-tuned teachers.
        results: the folder for scores.
        quick: a few steps of a few rows.
    """

    def __init__(
        self,
        teacher: Path,
        student: Path,
        tasks: Mapping[str, Task],
        place: Path,
        results: Path,
        *,
        quick: bool,
    ) -> None:
        self.models = {"teacher": teacher, "student": student}
        self.place, self.seeds = place, 1 if quick else 5
        place.mkdir(parents=True, exist_ok=True)
        self.cells, self.recipe = Cells(results), FINETUNING
        self.tasks = {**tasks, "imdb": IMDB, "squad": SQUAD}
        if quick:
            self.recipe = self.recipe.with_changes(steps=2, batch_size=4)
            self.tasks = {name: replace(task, rows=40, judged=40) for name, task in self.tasks.items()}

    def wanted(self) -> list[Cell]:
        variants = ("teacher", "student")
        cells = [(who, task, seed) for seed in range(self.seeds) for task in self.tasks for who in variants]
        return cells + [("student, taught again", "squad", seed) for seed in range(self.seeds)]

    def score(self, variant: str, name: str, seed: int) -> None:
        """Fine-tune, judge, and keep the score."""
        task = self.tasks[name]
        files, recipe = task.drawn(name, self.place), self.recipe.with_changes(seed=seed)
        if name in ("imdb", "squad"):
            recipe = recipe.with_changes(max_length=512 if name == "imdb" else 384)
        taught = variant.endswith("taught again")
        with scratch(self.place) as place:
            teacher = Path(place) / "teacher" if taught else None
            if teacher is not None:
                fine_tuned(self.models["teacher"], task, files, recipe, out=teacher)
            model = self.models[variant.split(",", maxsplit=1)[0]]
            facts = fine_tuned(model, task, files, recipe, out=Path(place) / "model", teacher=teacher)
        self.cells.add((variant, name, seed), facts)


def glue(source: str, place: Path) -> dict[str, Task]:
    """The tasks that a folder, or the name of a dataset, has."""
    read = partial(published_rows, Path(source)) if Path(source).is_dir() else partial(named_rows, source)
    tasks = {}
    for name, task in GLUE.items():
        files = place / f"{name}.learnt.jsonl.gz", place / f"{name}.judged.jsonl.gz"
        if not all(path.exists() for path in files):
            found = read(name, task)
            if found is None:
                continue
            for path, rows in zip(files, found, strict=True):
                write_rows(path, rows)
        tasks[name] = Task(*files, task.metric, task="regression" if name == "stsb" else None)
    return tasks


Rows = list[dict[str, Any]]


def published_rows(folder: Path, name: str, task: Published) -> tuple[Rows, Rows] | None:
    """Rows for learning and for judging, out of the published files; None where they are not there."""
    files = [folder / task.folder / file for file in ("train.tsv", task.judged)]
    if not all(file.exists() for file in files):
        return None
    found = []
    for file in files:
        with file.open(encoding="utf-8", newline="") as opened:
            quoting = csv.QUOTE_NONE  # a quotation mark is part of the text
            table_rows = csv.DictReader(opened, task.header or None, delimiter="\t", quoting=quoting)
            found.append([renamed(one, task.texts, task.label, name) for one in table_rows])
    return found[0], found[1]


def named_rows(source: str, name: str, task: Published) -> tuple[Rows, Rows] | None:
    """The same, of a dataset by its name."""
    import datasets

    loaded = datasets.load_dataset(source, name)
    texts = task.named or task.texts
    found = [[renamed(one, texts, "label", name) for one in loaded[split]] for split in ("train", task.split)]
    return found[0], found[1]


def renamed(one: Mapping[str, Any], texts: Iterable[str], label: str, name: str) -> dict[str, Any]:
    names = ("text_a", "text_b") if len(tuple(texts)) == 2 else ("text",)
    told = {to: one[of] for to, of in zip(names, texts, strict=True)}
    return {**told, "score": float(one[label])} if name == "stsb" else {**told, "label": one[label]}


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_atomically(path, gzip.compress("".join(json.dumps(one) + "\n" for one in rows).encode(), mtime=0))


def medians(paper: Paper) -> dict[tuple[str, str], float]:
    """Of the seeds, in hundredths."""
    by: dict[tuple[str, str], list[float]] = {}
    for (variant, task, _), score in paper.cells.scores().items():
        by.setdefault((variant, task), []).append(100 * score)
    return {key: statistics.median(values) for key, values in by.items()}


def show_glue(paper: Paper, found: Mapping[tuple[str, str], float]) -> list[dict[str, Any]]:
    rows = {name: dict(zip(GLUE, values, strict=True)) for name, values in TABLE_1.items()}
    rows |= {who: {task: found[who, task] for task in GLUE if (who, task) in found} for who in paper.models}
    there = [task for task in GLUE if all(task in rows[who] for who in paper.models)]
    print(f"Table 1: GLUE's development sets, the median of {paper.seeds} seeds; macro over what is there")
    shown = []
    for name, scores in rows.items():
        known = [scores[task] for task in there if task in scores]
        plain = [scores[task] for task in there if task in scores and task != "wnli"]
        cells = [f"{scores[task]:.1f}" if task in scores else "" for task in GLUE]
        shown.append([name, *(f"{statistics.mean(x):.1f}" if x else "" for x in (known, plain)), *cells])
    table(["", "macro", "less wnli", *GLUE], shown)
    absent = [task for task in GLUE if task not in there]
    print(f"absent: {', '.join(absent) or 'none'}; all macros are over {', '.join(there) or 'none'}")
    if not there:
        return []
    ours, theirs = (statistics.mean(rows[who][task] for task in there) for who in ("student", "teacher"))
    return [row(f"GLUE: {', '.join(there)}", "macro", ours, "its teacher", theirs, target=0.97, more=True)]


def show_tasks(paper: Paper, found: Mapping[tuple[str, str], float]) -> None:
    print("\nTable 2: IMDb, accuracy; SQuAD 1.1, exact match / F1")
    rows = [[name, *cells] for name, cells in TABLE_2.items()]
    answers = [(cell[0], told["scores"]) for cell, told in paper.cells.found().items() if cell[1] == "squad"]
    for who in (*paper.models, "student, taught again"):
        reviews = f"{found[who, 'imdb']:.1f}" if (who, "imdb") in found else ""
        both = [
            [100 * scores[name] for them, scores in answers if them == who] for name in ("exact_match", "f1")
        ]
        rows.append(
            [who, reviews, " / ".join(f"{statistics.median(values):.1f}" for values in both if values)]
        )
    table(["", "imdb", "squad"], rows)
    print("imdb: 2,500 reviews to learn from and 2,500 to judge by; squad: a split of our own, by articles")


def show_speed(paper: Paper) -> list[dict[str, Any]]:
    """Table 3, with one text at a time, on the CPU."""
    import torch

    from distilbert import AutoModelForSequenceClassification, AutoTokenizer

    models, counts, work = {}, {}, {}
    pairs = [(one["text_a"], one["text_b"]) for one in rows_in(at_hand("stsb.dev"))]
    pairs = pairs[:: 1 if paper.seeds > 1 else 50]
    for name, folder in paper.models.items():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).eval()
        given = [tokenizer(*pair, return_tensors="pt") for pair in pairs]
        models[name], counts[name] = model, sum(p.numel() for p in model.parameters())
        work[name] = partial(one_by_one, model, given, torch.inference_mode)
        for batch in given[:20]:
            model(**batch)
    times = {name: statistics.median(found) for name, found in in_turn(work, rounds=3).items()}
    print(f"\nTable 3: parameters, and a pass over stsb.dev ({len(pairs)} pairs), one at a time, on this CPU")
    rows = [[name, f"{size}", f"{seconds}"] for name, (size, seconds) in TABLE_3.items()]
    rows += [[name, f"{counts[name] / 1e6:.1f}", f"{times[name]:.1f}"] for name in times]
    table(["", "M parameters", "s"], rows)
    return [
        row("stsb.dev, one by one", "seconds", times["student"], "its teacher", times["teacher"], target=1.6)
    ]


def one_by_one(model: Any, given: Iterable[Any], mode: Callable[[], Any]) -> None:
    with mode():
        for batch in given:
            model(**batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--teacher", type=Path, help="its folder")
    parser.add_argument("--student", type=Path, help="its folder")
    parser.add_argument("--glue", help="a folder as published, or the name of a dataset")
    parser.add_argument("--name", default="two-cores", help="of the results' folder")
    parser.add_argument("--models", type=Path, default=Path("build/retention"), help="of retention.py")
    parser.add_argument("--hours", type=float, default=math.inf, help="begin no further score after so many")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--quick", action="store_true", help="a few steps; its figures mean nothing")
    args = parser.parse_args()
    study = Study(QUICK if args.quick else FULL, args.models, args.models if args.quick else RESULTS)
    teacher = args.teacher or study.language_model("teacher")
    student = args.student or study.language_model("distilled")
    place = args.models / f"paper-{'quick' if args.quick else args.name}"
    results = place / "results" if args.quick else RESULTS.parent / "paper" / args.name
    place.mkdir(parents=True, exist_ok=True)
    tasks = glue(args.glue, place) if args.glue else AT_HAND
    paper = Paper(teacher, student, tasks, place, results, quick=args.quick)
    started = time.monotonic()
    for cell in [] if args.table else paper.cells.missing(paper.wanted()):
        if time.monotonic() - started > 3600 * args.hours:
            break
        say("{}, {}, seed {}".format(*cell))
        paper.score(*cell)
    found = medians(paper)
    rows = show_glue(paper, found)
    show_tasks(paper, found)
    rows += show_speed(paper)
    ablation_table(study, study.cells.scores())
    if missing := len(paper.cells.missing(paper.wanted())):
        print(f"{missing} scores are not there yet")
    conclude("paper", rows, ("torch", "tokenizers", "numpy"))


if __name__ == "__main__":
    main()
