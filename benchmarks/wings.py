"""Is it the same, whichever framework computes? One teacher, one recipe, each wing, under several seeds.

A real pretrained BERT (all-MiniLM-L6-v2, 6 layers of width 384) is fine-tuned on sst2, wnut17 and stsb, and
is given a head for hidden words and distilled into half its layers on English Wikipedia, by each wing's own
training, from the same folders, on the same rows in the same order; what is dropped is drawn by each
framework in its own way, as by another seed. Subsets and few steps: the question is not how good it gets.
Then each wing answers what PyTorch has trained, and PyTorch what each wing has.

Every score is kept when it is made: a run that is stopped goes on where it was.

  python benchmarks/wings.py                  all that is missing; some forty minutes on two cores
  python benchmarks/wings.py --wing jax       of one wing
  python benchmarks/wings.py --table          nothing is run; what is there
  python benchmarks/wings.py --quick          two steps of everything, to see that it works
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from measuring import DATA, conclude, row, say, table
from study import (
    Cell,
    Cells,
    Task,
    at_hand,
    compared,
    fine_tuned,
    mean_and_interval,
    pretrained,
    scratch,
    shown,
    told,
)

from distilbert import Finetuning, LanguageModelling, Pretrainer, convert, read_examples

RESULTS = Path(__file__).parent / "results" / "wings"
WINGS = ("torch", "jax", "keras")
HALF = 3
#: What is told of a distilled student, by its held-out words: how often it says what its teacher says.
DISTILLED = "distilled"

TASKS = {
    "sst2": Task(at_hand("sst2.train"), at_hand("sst2.dev"), "accuracy", 1600, 872, ("text", "label")),
    "wnut17": Task(at_hand("wnut17.train"), at_hand("wnut17.test"), "f1", 1600, 1287, ("tokens", "ner")),
    "stsb": Task(
        at_hand("stsb.train"), at_hand("stsb.dev"), "spearman", 1600, 1500, ("text_a", "text_b", "score")
    ),
}


@dataclass(frozen=True)
class Settings:
    """How much of everything; ``name`` is the folder of the results."""

    name: str
    adapt: LanguageModelling
    distil: LanguageModelling
    finetune: Finetuning
    tasks: dict[str, Task]
    seeds: int


_READING = {"max_length": 128, "batch_size": 16, "micro_batch_size": 16, "held_out": 128, "precision": "fp32"}
FULL = Settings(
    name="two-cores",
    adapt=LanguageModelling.read("adapt").with_changes(**_READING, steps=80),
    distil=LanguageModelling.read("default").with_changes(**_READING, learning_rate=5e-4, steps=80),
    finetune=Finetuning(
        eval_share=0.0,
        looks_per_epoch=0.0,
        epochs=2,
        learning_rate=1e-4,
        new_weights_rate=5.0,
        batch_size=32,
        max_length=128,
        precision="fp32",
    ),
    tasks=TASKS,
    seeds=3,
)
_LITTLE = {"steps": 2, "batch_size": 4, "micro_batch_size": 4, "held_out": 4}
QUICK = Settings(
    name="quick",
    adapt=FULL.adapt.with_changes(**_LITTLE),
    distil=FULL.distil.with_changes(**_LITTLE),
    finetune=FULL.finetune.with_changes(steps=2, batch_size=4),
    # All tags have to be met.
    tasks={n: replace(t, rows=None if n == "wnut17" else 24, judged=24) for n, t in TASKS.items()},
    seeds=1,
)


class Study:
    """The models, made when they are first needed, and the scores of each.

    Args:
        settings: how much of everything.
        models: the folder for models and drawn rows.
        results: the folder for scores.
    """

    def __init__(self, settings: Settings, models: Path, results: Path) -> None:
        self.settings, self.models = settings, models / settings.name
        self.models.mkdir(parents=True, exist_ok=True)
        self.cells = Cells(results / settings.name)

    def missing(self, wings: tuple[str, ...]) -> list[Cell]:
        return self.cells.missing(
            (wing, name, seed)
            for seed in range(self.settings.seeds)
            for name in (*self.settings.tasks, DISTILLED)
            for wing in wings
        )

    def teacher(self, *, adapted: bool) -> Path:
        """The folder of the teacher; with its head for hidden words."""
        folder = self.models / ("adapted" if adapted else "teacher")
        if not folder.exists() and adapted:
            Pretrainer(pretrained(), recipe=self.settings.adapt, progress=told).run(texts(), out=folder)
        elif not folder.exists():
            convert(pretrained(), to="safetensors", out=folder)
        return folder

    def score(self, wing: str, name: str, seed: int) -> None:
        """Train by a wing, judge, and keep the score."""
        with scratch(self.models) as place:
            out = Path(place) / "model"
            if name == DISTILLED:
                facts = self._distilled(wing, seed, out)
            else:
                task = self.settings.tasks[name]
                files = task.drawn(name, self.models)
                recipe = self.settings.finetune.with_changes(seed=seed)
                job = import_module(f"distilbert.{wing}.finetune").Finetuner
                facts = fine_tuned(self.teacher(adapted=False), task, files, recipe, out=out, finetuner=job)
                facts["answers_apart"] = answers_apart(wing, out, files[1])
        self.cells.add((wing, name, seed), facts)

    def _distilled(self, wing: str, seed: int, out: Path) -> dict[str, Any]:
        recipe = self.settings.distil.with_changes(seed=seed)
        job: Callable[..., Any] = import_module(f"distilbert.{wing}.distill").Distiller
        run = job(self.teacher(adapted=True), layers=HALF, recipe=recipe, progress=told).run(texts(), out=out)
        looks = run.log.judged[-1]
        return {
            "scores": looks,
            "score": looks["agreement"],
            "steps": run.facts["training"]["steps"],
            "seconds": run.facts["seconds"],
        }


def texts() -> Path:
    return DATA / "corpus" / "wikipedia-en.train.jsonl.gz"


def answers_apart(wing: str, model: Path, file: Path) -> float:
    """The share of rows that PyTorch answers otherwise than the wing that has trained the model."""
    examples = read_examples(file)
    said = []
    for name in dict.fromkeys(("torch", wing)):
        predictor = import_module(f"distilbert.{name}.predictor").Predictor.open(model)
        answers, _ = predictor.answers_and_cut(examples)
        said.append([str(answer) for answer in answers])
    return float(np.mean([a != b for a, b in zip(said[0], said[-1], strict=True)]))


def lines_of(
    study: Study, found: Mapping[Cell, dict[str, Any]]
) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """A line for each other wing and task, and the same for programs."""
    for name in (*study.settings.tasks, DISTILLED):
        by_wing = {
            wing: [told for (who, what, _), told in sorted(found.items()) if (who, what) == (wing, name)]
            for wing in WINGS
        }
        metric = study.settings.tasks[name].metric if name in study.settings.tasks else "agreement"
        for wing in WINGS[1:]:
            ours, torchs = by_wing[wing], by_wing["torch"]
            if not ours or not torchs:
                continue
            scores = [[told["score"] for told in cells] for cells in (ours, torchs)]
            difference, verdict = compared(*scores)
            apart = max((told.get("answers_apart", 0.0) for told in ours), default=0.0)
            pace = statistics.median(t["seconds"] for t in torchs) / statistics.median(
                t["seconds"] for t in ours
            )
            yield (
                [f"{wing}, {name}", metric, *(shown(*mean_and_interval(each)) for each in scores),
                 difference, verdict, f"{apart:.2%}", f"{pace:.2f}"],
                row(f"{wing}, {name}", metric, statistics.mean(scores[0]), "ours, PyTorch",
                    statistics.mean(scores[1]), target=1.0, more=True),
            )  # fmt: skip


def show(study: Study) -> None:
    found = list(lines_of(study, study.cells.found()))
    print(f"means of {study.settings.seeds} seeds, 95% intervals; answered otherwise: by PyTorch, at most")
    header = ["", "metric", "wing", "PyTorch", "difference", "by seeds", "answered otherwise", "pace"]
    table(header, [line for line, _ in found])
    if missing := len(study.missing(WINGS)):
        print(f"{missing} cells are not there yet")
    conclude("wings", [made for _, made in found], ("torch", "jax", "flax", "keras", "tensorflow", "numpy"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--wing", choices=WINGS, help="of one wing")
    parser.add_argument("--models", type=Path, default=Path("build/wings"), help="where models are kept")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--quick", action="store_true", help="two steps of everything")
    args = parser.parse_args()
    settings, results = (QUICK, args.models) if args.quick else (FULL, RESULTS)
    study = Study(settings, args.models, results)
    for cell in [] if args.table else study.missing((args.wing,) if args.wing else WINGS):
        say("{}, {}, seed {}".format(*cell))
        study.score(*cell)
    show(study)


if __name__ == "__main__":
    main()
