"""Published tasks by their names, on an engine: the calls and the shapes of answers that people know."""

from importlib import import_module
from pathlib import Path
from typing import Any

from distilbert.errors import ConfigError

#: Of each task the class in the file of its name.
TASKS = {
    "text-classification": "TextClassification",
    "token-classification": "TokenClassification",
    "question-answering": "QuestionAnswering",
    "fill-mask": "FillMask",
    "feature-extraction": "FeatureExtraction",
    "sentence-similarity": "SentenceSimilarity",
    "zero-shot-classification": "ZeroShotClassification",
    "multiple-choice": "MultipleChoice",
}

#: Other names of tasks.
ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def pipeline(task: str, model: str | Path, **settings: Any) -> Any:
    """What answers a published task: texts in, plain lists and dictionaries out.

    Args:
        task: a name in ``TASKS``, or an alias.
        model: a BERT or DistilBERT with the task's head: a folder, or its name on a hub.
        **settings: what calls usually say, such as ``top_k`` or ``aggregation_strategy``; ``on_long`` as
            ``Engine``; ``runtime``, ``streams``, ``threads`` and ``budget`` as ``Computer``.

    Raises:
        CheckpointError: the folder cannot be read, or has no such head.
        ConfigError: no such task, or a setting that cannot be.
        MissingExtraError: no runtime is installed.
    """
    name = ALIASES.get(task, task)
    if name not in TASKS:
        raise ConfigError(
            f"A pipeline's task is one of {', '.join((*TASKS, *ALIASES))}.",
            received=f"task={task!r:.60}",
            remedy="Choose one of them.",
        )
    file = import_module(f"distilbert.engine.pipelines.{name.replace('-', '_')}")
    return getattr(file, TASKS[name])(model, **settings)
