"""One fine-tuning with several seeds: how much of a score is luck, and which of the models is kept."""

import copy
import json
import shutil
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilbert.core import rules
from distilbert.core.card import write_card
from distilbert.core.copies import fingerprint_of, refuse_other_notes
from distilbert.core.facts import read_facts
from distilbert.core.files import FACTS_FILE, make_folder, write_json
from distilbert.core.output import new_folder, refuse_taken
from distilbert.core.tasks.metrics import lower_is_better
from distilbert.core.tasks.reading import Table, as_examples
from distilbert.core.tasks.splitting import USUAL_SHARE, split
from distilbert.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from distilbert.core.training.example_trainer import ExampleTrainer
    from distilbert.core.training.runs import Run

#: What a folder of seeds says of them.
_SEEDS_FILE = "seeds.json"


def run_seeds(
    finetuner: "ExampleTrainer",
    train: Table,
    *,
    out: str | Path,
    seeds: int,
    keep: str = "best",
    evaluate: Table | None = None,
    force: bool = False,
    resume: bool = False,
    **how: Any,
) -> "Run":
    """Fine-tune with the recipe's seed and those that follow it, and keep one model.

    All of them learn from the same examples and are judged by the same others. While they are made they stand
    in ``<out>.seeds``.

    Args:
        finetuner: has the model and the recipe.
        train: examples.
        out: the folder of the model that is kept; its facts have the scores of all.
        seeds: how many.
        keep: "best", or "median": the one in the middle, of an even number the lower one.
        evaluate: examples to judge by; None holds a tenth of ``train`` out.
        force: replace a model that stands at ``out``, and give up what interrupted seeds left.
        resume: go on with them: seeds that are done are not run again.
        **how: as ``Finetuner.run`` takes it.

    Raises:
        ConfigError: nothing to judge by, or other seeds to resume.
        OutputError: a place is taken.
        and whatever ``Finetuner.run`` raises.
    """
    rules.integer(2)("seeds", seeds)
    rules.one_of(("best", "median"))("keep", keep)
    out = Path(out).resolve()
    refuse_taken(out, force=force)
    recipe = finetuner.recipe
    known = as_examples(train, task=finetuner.task, source="the training data")
    if evaluate is None:
        share = USUAL_SHARE if recipe.eval_share is None else recipe.eval_share
        known, judged = split(known, share=share, seed=recipe.seed)
    else:
        judged = as_examples(evaluate, task=known.task, source="the evaluation data")
    if judged is None:
        raise ConfigError(
            "Seeds are compared by examples that are not learnt from.",
            received="none",
            remedy="Give a table to judge by (--eval), or a share of the examples (--eval-share 0.1).",
        )
    root = out.with_name(out.name + ".seeds")
    noted = {
        "model": str(finetuner.model),
        "recipe": recipe.facts(),
        "examples": fingerprint_of(known.columns, judged.columns),
    }
    _begin(root, json.loads(json.dumps(noted)), resume=resume, force=force)
    runs: dict[int, Run] = {}
    for seed in range(recipe.seed, recipe.seed + seeds):
        place = root / f"seed-{seed}"
        own = copy.copy(finetuner)
        own.recipe = recipe.with_changes(seed=seed)
        if resume and (place / FACTS_FILE).is_file():
            runs[seed] = _done(place)
        else:
            runs[seed] = own.run(known, out=place, evaluate=judged, resume=resume, force=force, **how)
    kept, facts = _compared(runs, keep)
    # Of several processes the first one knows the scores, and writes.
    if kept is None:
        return next(iter(runs.values()))
    run = runs[kept]
    run.facts["seeds"] = facts
    with new_folder(out, force=force) as folder:
        shutil.copytree(root / f"seed-{kept}", folder, dirs_exist_ok=True)
        write_json(folder / FACTS_FILE, {**read_facts(folder), "seeds": facts})
        write_card(folder, run.facts, name=out.name)
    shutil.rmtree(root, ignore_errors=True)
    return run


def _compared(runs: dict[int, "Run"], keep: str) -> tuple[int | None, dict[str, Any]]:
    """Which seed is kept, and what all of them came to."""
    if not all("evaluation" in run.facts for run in runs.values()):
        return None, {}
    recipe = next(iter(runs.values())).facts["recipe"]
    metric = recipe.get("best_by") or next(iter(next(iter(runs.values())).facts["evaluation"]))
    values = {seed: float(run.facts["evaluation"][metric]["value"]) for seed, run in runs.items()}
    sign = 1 if lower_is_better(metric) else -1
    ranked = sorted(values, key=lambda seed: (sign * values[seed], seed))
    kept = ranked[0] if keep == "best" else ranked[len(ranked) // 2]
    return kept, {
        "metric": metric,
        "values": list(values.values()),
        "of": list(values),
        "median": statistics.median(values.values()),
        "spread": statistics.stdev(values.values()),
        "kept": kept,
        "kept_for": keep,
    }


def _begin(root: Path, noted: dict[str, Any], *, resume: bool, force: bool) -> None:
    """The folder of the seeds, new or to go on with."""
    there = root / _SEEDS_FILE
    if root.exists() and not (there.is_file() and (resume or force)):
        raise OutputError(
            "Seeds that were interrupted must be resumed or given up."
            if there.is_file()
            else "The place for seeds must be free.",
            received=str(root),
            remedy="Add --resume (resume=True) to go on with them, or --force (force=True) to begin anew."
            if there.is_file()
            else "Move it, or choose another output folder.",
        )
    if there.is_file() and resume:
        refuse_other_notes("set of seeds", there, noted)
        return
    if there.is_file():
        shutil.rmtree(root)
    make_folder(root)
    write_json(there, noted)


def _done(place: Path) -> "Run":
    from distilbert.core.training.runs import Run
    from distilbert.core.training_log import TrainingLog

    return Run(TrainingLog(), read_facts(place))
