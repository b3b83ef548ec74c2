"""What does a student keep of its teacher, and which part of the distillation does it owe it to?

The teacher is a real pretrained BERT (all-MiniLM-L6-v2, 6 layers of width 384), given a masked-language-model
head on English Wikipedia. Its students have half its layers. All are fine-tuned alike on four tasks, under
several seeds: the teacher, the distilled student, the same student before it was distilled, one at random;
students are also taught by the fine-tuned teacher, on the same rows, or longer and on further ones that have
no labels. Then the paper's ablation (its table 4), at a smaller budget: without the cosine, without the
distribution, without the hidden words, from random weights.

Every model and every score is kept when it is made: a study that is stopped goes on where it was, and fills
up over several runs. The table shows what is there.

  python benchmarks/retention.py                  all that is missing; some seven hours on two cores
  python benchmarks/retention.py --hours 1.5      no further part is begun after that
  python benchmarks/retention.py --table          nothing is run; what is there
  python benchmarks/retention.py --quick          a few steps of everything, to see that it works
"""

import argparse
import gzip
import json
import math
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from further_text import neighbours, questions_and_sentences, rest_of
from measuring import DATA, conclude, in_turn, row, say, table
from study import (
    Cell,
    Cells,
    Task,
    at_hand,
    fine_tuned,
    keep,
    mean_and_interval,
    pretrained,
    scratch,
    shown,
    told,
)

from distilbert import Distiller, Finetuning, LanguageModelling, Pretrainer, shrink
from distilbert.core.files import write_atomically

RESULTS = Path(__file__).parent / "results" / "retention"
HALF = 3
VARIANTS = (
    "teacher",
    "distilled",
    "distilled, taught",
    "distilled, taught on more",
    "not distilled",
    "not distilled, taught on more",
    "at random",
)

#: Subsets where two cores demand it. Of qnli only the development set is at hand, and is split.
# fmt: off
TASKS = {
    "sst2": Task(
        at_hand("sst2.train"), at_hand("sst2.dev"), "accuracy", 5000, 872, ("text", "label"),
        further=rest_of("sst2.train"),
    ),
    "ag_news": Task(
        at_hand("ag_news.train_part"), at_hand("ag_news.test"), "accuracy", 3000, 2000, ("text", "label"),
        further=rest_of("ag_news.train_part"),
    ),
    "stsb": Task(
        at_hand("stsb.train"), at_hand("stsb.dev"), "spearman", 5749, 1500, ("text_a", "text_b", "score"),
        further=neighbours,
    ),
    "qnli": Task(
        at_hand("qnli.dev"), at_hand("qnli.dev"), "accuracy", 3000, 1463, ("text_a", "text_b", "label"),
        further=questions_and_sentences,
    ),
}
# fmt: on
ABLATED_ON = ("sst2", "qnli")

#: A teacher whose head is new knows hidden words little better than its student soon does; what it knows
#: besides lies in its states.
STATES_FIRST = {
    "masked_lm_weight": 0.5,
    "distribution_weight": 1.0,
    "cosine_weight": 40.0,
    "hidden_weight": 40.0,
}
#: What each ablated student is not given. Its other settings are those of "triple".
ABLATION: dict[str, dict[str, float]] = {
    "triple": {},
    "no cosine": {"cosine_weight": 0.0},
    "no distribution": {"distribution_weight": 0.0},
    "no hidden words": {"masked_lm_weight": 0.0},
    "random start": {},
    "states first": STATES_FIRST,
}
#: The paper's change in GLUE points from the triple loss and the teacher's layers (table 4).
PUBLISHED = {"no hidden words": -0.31, "no cosine": -1.46, "no distribution": -2.96, "random start": -3.69}


@dataclass(frozen=True)
class Settings:
    """How much of everything; ``name`` is the folder of the results, ``teach`` what differs where a teacher
    answers ``further`` rows beside those with labels.
    """

    name: str
    articles: int | None
    adapt: LanguageModelling
    distil: LanguageModelling
    ablate: LanguageModelling
    finetune: Finetuning
    teach: dict[str, Any]
    further: int
    tasks: dict[str, Task]
    seeds: int


#: Less than one pass over the text: too short for dropout to be of use.
_READING = {
    "max_length": 128,
    "batch_size": 64,
    "micro_batch_size": 32,
    "dropout": 0.0,
    "held_out": 500,
    "judge_every": 250,
}
FULL = Settings(
    name="two-cores",
    articles=None,
    adapt=LanguageModelling.read("adapt").with_changes(**_READING, steps=400),
    distil=LanguageModelling.read("default").with_changes(
        **{**_READING, "batch_size": 32, "judge_every": 1000}, **STATES_FIRST, learning_rate=5e-4, steps=4600
    ),
    ablate=LanguageModelling.read("default").with_changes(**_READING, learning_rate=5e-4, steps=200),
    # The last weights are judged: those that looked best would have been chosen by the rows of the table.
    finetune=Finetuning(
        eval_share=0.0,
        looks_per_epoch=0.0,
        epochs=3,
        learning_rate=1e-4,
        new_weights_rate=5.0,
        batch_size=32,
        max_length=128,
    ),
    teach={"epochs": 6, "unlabelled_batch_size": 32},
    further=12_000,
    tasks=TASKS,
    seeds=3,
)
_LITTLE = {"steps": 2, "batch_size": 4, "micro_batch_size": 4, "held_out": 4}
QUICK = Settings(
    name="quick",
    articles=40,
    adapt=FULL.adapt.with_changes(**_LITTLE),
    distil=FULL.distil.with_changes(**_LITTLE),
    ablate=FULL.ablate.with_changes(**_LITTLE),
    finetune=FULL.finetune.with_changes(steps=2, batch_size=4),
    teach={"unlabelled_batch_size": 4},
    further=40,
    tasks={name: replace(task, rows=40, judged=40) for name, task in TASKS.items()},
    seeds=1,
)


class Study:
    """The models, made when they are first needed, and the scores of each.

    Args:
        settings: how much of everything.
        models: the folder for models; they are large, and are not kept with the results.
        results: the folder for what is told of them.
    """

    def __init__(self, settings: Settings, models: Path, results: Path) -> None:
        self.settings, self.models = settings, models / settings.name
        self.models.mkdir(parents=True, exist_ok=True)
        self.cells = Cells(results / settings.name)

    def parts(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """All that makes up the study, in order, less what is there: its name, and what makes it."""
        for variant in ("teacher", "distilled"):
            if not (self.cells.folder / f"{variant}.json").exists():
                yield f"{variant}, on running text", partial(self.language_model, variant)
        seeds = range(self.settings.seeds)
        wanted = [
            (variant, task, seed) for seed in seeds for task in self.settings.tasks for variant in VARIANTS
        ]
        wanted += [(f"ablation: {v}", task, seed) for v in ABLATION for task in ABLATED_ON for seed in seeds]
        for cell in self.cells.missing(wanted):
            yield "{}, {}, seed {}".format(*cell), partial(self.score, *cell)

    def language_model(self, variant: str) -> Path:
        """The folder of a model that tells hidden words."""
        folder = self.models / variant.replace(" ", "-").replace(":", "")
        if folder.exists():
            return folder
        if variant == "teacher":
            run = Pretrainer(pretrained(), recipe=self.settings.adapt, progress=told).run(
                self.texts(), out=folder, resume=True
            )
        else:
            teacher = self.language_model("teacher")
            if variant in ("not distilled", "at random"):
                shrink(teacher, layers=HALF, init="random" if variant == "at random" else None, out=folder)
                return folder
            short = variant.removeprefix("ablation: ")
            recipe = self.settings.distil
            if short in ABLATION:
                recipe = self.settings.ablate.with_changes(**ABLATION[short])
            start = "random" if short == "random start" else None
            run = Distiller(teacher, layers=HALF, init=start, recipe=recipe, progress=told).run(
                self.texts(), out=folder, resume=True
            )
        keep(self.cells.folder / f"{folder.name}.json", {**run.facts, "judged": run.log.judged})
        return folder

    def texts(self) -> Path:
        """English Wikipedia, an article's paragraphs as they come."""
        whole = DATA / "corpus" / "wikipedia-en.train.jsonl.gz"
        if self.settings.articles is None:
            return whole
        part = self.models / "articles.jsonl"
        if not part.exists():
            with gzip.open(whole, "rt", encoding="utf-8") as lines:
                first = [line for line, _ in zip(lines, range(self.settings.articles), strict=False)]
            write_atomically(part, "".join(first).encode())
        return part

    def score(self, variant: str, name: str, seed: int) -> None:
        """Fine-tune, judge, and keep the score; and the teacher, for those whom it will teach."""
        task = self.settings.tasks[name]
        files = task.drawn(name, self.models)
        recipe = self.settings.finetune.with_changes(seed=seed)
        teacher = self.models / "fine-tuned" / f"{name}.{seed}"
        start, *how = variant.split(", ")
        more: dict[str, Any] = {}
        if how:
            if not teacher.exists():
                fine_tuned(self.language_model("teacher"), task, files, recipe, out=teacher)
            more["teacher"] = teacher
        if how == ["taught on more"]:
            more["unlabelled"] = task.unlabelled(name, self.models, rows=self.settings.further)
            recipe = recipe.with_changes(**self.settings.teach)
        model = self.language_model(start)
        with scratch(self.models) as place:
            out = Path(place) / "model"
            facts = fine_tuned(model, task, files, recipe, out=out, **more)
            if variant == "teacher" and not teacher.exists():
                teacher.parent.mkdir(exist_ok=True)
                shutil.move(out, teacher)
        self.cells.add((variant, name, seed), facts)


def main_table(study: Study, scores: dict[Cell, float]) -> list[dict[str, Any]]:
    """Scores by model and task, and what each keeps of the teacher."""
    tasks, rows, lines = list(study.settings.tasks), [], []
    for variant in VARIANTS:
        cells, kept_by_seed, kept = [], [], ""
        for task in tasks:
            found = [v for (who, what, _), v in scores.items() if (who, what) == (variant, task)]
            cells.append(shown(*mean_and_interval(found)) if found else "")
        for seed in range(study.settings.seeds):
            own, others = ([(who, task, seed) for task in tasks] for who in (variant, "teacher"))
            if all(cell in scores for cell in (*own, *others)):
                shares = [scores[a] / scores[b] for a, b in zip(own, others, strict=True)]
                kept_by_seed.append(statistics.mean(shares))
        if kept_by_seed:
            value, half = mean_and_interval(kept_by_seed)
            kept = shown(value, half, ".1%")
            if variant.startswith("distilled"):
                target = 0.99 if "taught" in variant else 0.97
                rows.append(row(variant, "retention", value, "its teacher", 1.0, target=target, more=True))
        lines.append([variant, *cells, kept])
    print(f"Scores on {', '.join(f'{name} ({task.metric})' for name, task in study.settings.tasks.items())}")
    print(f"means of {study.settings.seeds} seeds, 95% intervals; kept: of the teacher's, mean of the tasks")
    table(["", *tasks, "kept"], lines)
    return rows


def ablation_table(study: Study, scores: dict[Cell, float]) -> None:
    """What the mean of the tasks loses without each part, beside what the paper's did."""
    means: dict[str, dict[int, float]] = {}
    for variant in ABLATION:
        for seed in range(study.settings.seeds):
            cells = [(f"ablation: {variant}", task, seed) for task in ABLATED_ON]
            if all(cell in scores for cell in cells):
                means.setdefault(variant, {})[seed] = statistics.mean(scores[cell] for cell in cells)
    whole = means.get("triple", {})
    lines = []
    for variant, found in means.items():
        lost = [100 * (value - whole[seed]) for seed, value in found.items() if seed in whole]
        change = shown(*mean_and_interval(lost), "+.2f") if lost and variant != "triple" else ""
        published = f"{PUBLISHED[variant]:+.2f}" if variant in PUBLISHED else ""
        lines.append([variant, shown(*mean_and_interval(list(found.values()))), change, published])
    if lines:
        steps = study.settings.ablate.steps
        print(f"\nAblation: mean of {' and '.join(ABLATED_ON)}, each student distilled for {steps} steps")
        table(["", "mean", "change in points", "the paper's, of GLUE's mean"], lines)


def speed(study: Study) -> list[dict[str, Any]]:
    """Parameters, and texts a second without a head, of teacher and student in turn.

    A student that was not distilled yet is as large and as fast.
    """
    import torch

    from distilbert import AutoModel, AutoTokenizer

    students = [study.models / name for name in ("distilled", "not-distilled")]
    student = next((folder for folder in students if folder.exists()), None)
    teacher = study.models / "teacher"
    if student is None or not teacher.exists():
        return []
    folders = {"teacher": teacher, "student": student}
    tokenizer = AutoTokenizer.from_pretrained(folders["teacher"])
    with gzip.open(at_hand("ag_news.test"), "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(128), strict=False)]
    batch = tokenizer(texts, padding=True, truncation=True, max_length=128, return_tensors="pt")
    models = {name: AutoModel.from_pretrained(folder).eval() for name, folder in folders.items()}

    def forward(model: Any) -> None:
        with torch.inference_mode():
            model(**batch)

    work = {name: partial(forward, model) for name, model in models.items()}
    for run in work.values():
        run()
    times = {name: statistics.median(found) for name, found in in_turn(work, rounds=7).items()}
    counts = {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()}
    print("\nOf the encoders, on 128 texts of ag_news in fp32")
    lines_of = [[name, f"{counts[name]:,}", f"{len(texts) / times[name]:.1f}"] for name in folders]
    table(["", "parameters", "texts/s"], lines_of)
    ours, theirs = "student", "teacher"
    return [
        row("encoder, ag_news", "seconds", times[ours], "its teacher", times[theirs], target=1.6),
        row("encoder", "parameters", counts[ours], "its teacher", counts[theirs], target=1.0),
    ]


def show(study: Study) -> None:
    for name in ("teacher", "distilled"):
        path = study.cells.folder / f"{name}.json"
        if path.exists():
            facts = json.loads(path.read_text())
            looks = {key: round(value, 3) for key, value in facts["judged"][-1].items()}
            hours = facts["seconds"] / 3600
            print(f"{name}: {facts['training']['steps']} steps, {hours:.2f} hours; held out {looks}")
    scores = study.cells.scores()
    rows = main_table(study, scores)
    ablation_table(study, scores)
    for variant, count in study.cells.makings().items():
        if count > 1:
            print(f"{variant}: the scores are of {count} models, made by the same settings and seed")
    rows += speed(study)
    if missing := sum(1 for _ in study.parts()):
        print(f"{missing} parts are not there yet")
    conclude("retention", rows, ("torch", "tokenizers", "numpy"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hours", type=float, default=math.inf, help="begin no further part after so many")
    parser.add_argument("--models", type=Path, default=Path("build/retention"), help="where models are kept")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--quick", action="store_true", help="a few steps; its figures mean nothing")
    args = parser.parse_args()
    settings, results = (QUICK, args.models) if args.quick else (FULL, RESULTS)
    study = Study(settings, args.models, results)
    started = time.monotonic()
    for name, make in [] if args.table else list(study.parts()):
        if time.monotonic() - started > 3600 * args.hours:
            break
        say(f"{name}, {(time.monotonic() - started) / 60:.0f} minutes in")
        make()
    show(study)


if __name__ == "__main__":
    main()
