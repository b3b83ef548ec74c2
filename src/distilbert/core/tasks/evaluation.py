"""A fine-tuned model judged beside others, and calibrated, once a wing has opened it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distilbert.core import rules
from distilbert.core.facts import read_facts
from distilbert.core.files import FACTS_FILE, write_json
from distilbert.core.progress import Progress
from distilbert.core.tasks.answering import Answerer
from distilbert.core.tasks.comparison import compare
from distilbert.core.tasks.examples import warn_of_repeated
from distilbert.core.tasks.metrics import require_metrics
from distilbert.core.tasks.outcome import judge, refuse_incomparable, told_alike
from distilbert.core.tasks.reading import Table, as_examples
from distilbert.errors import ConfigError

#: Opens a folder, in one wing or another.
Open = Callable[[str | Path], Answerer]


def evaluated(
    model: str | Path | Answerer,
    data: Table,
    *,
    against: Sequence[str | Path | Answerer],
    seed: int,
    opened: Open,
    progress: Progress,
) -> dict[str, Any]:
    """What ``evaluate`` returns; the arguments are its own, and what opens folders."""
    require_metrics()
    predictor = model if isinstance(model, Answerer) else opened(model)
    rules.integer(0)("seed", seed)
    examples = as_examples(data, task=predictor.task.name, source="the evaluation data")
    warn_of_repeated(examples)
    others = {}
    for number, one in enumerate(against, start=1):
        other = one if isinstance(one, Answerer) else opened(one)
        refuse_incomparable(predictor.task, other.task)
        name = f"model {number}" if isinstance(one, Answerer) else str(one)
        others[f"{name} ({number})" if name in others else name] = other
    outcome = judge(predictor, examples, progress=progress)
    found = {**outcome.scores(seed=seed, progress=progress), **outcome.findings()}
    if others:
        how: dict[str, Any] = {"stage": "evaluate", "progress": progress}
        told = {name: told_alike(predictor.task, other, examples, **how) for name, other in others.items()}
        found["against"] = compare(
            outcome.truth, outcome.told, told, metrics=outcome.task.metrics, seed=seed, progress=progress
        )
    return found


def calibrated(folder: str | Path, data: Table, *, opened: Open, progress: Progress) -> dict[str, Any]:
    """What ``calibrate`` returns; the arguments are its own, and what opens folders."""
    if not Path(folder).is_dir():
        raise ConfigError(
            "What is calibrated is a folder, since it is written to.",
            received=str(folder),
            remedy="Copy the model into a folder first: distilbert convert",
        )
    predictor = opened(folder).uncalibrated()
    examples = as_examples(data, task=predictor.task.name, source="the evaluation data")
    facts = judge(predictor, examples, progress=progress).calibration_facts()
    if facts is None:
        raise ConfigError(
            "Only probabilities of labels, tags or options, and having no answer, can be calibrated.",
            received=f"a model for {predictor.task.name}, in {folder}",
            remedy="Use it as it is.",
        )
    write_json(Path(folder) / FACTS_FILE, {**read_facts(folder), "calibration": facts})
    return facts
