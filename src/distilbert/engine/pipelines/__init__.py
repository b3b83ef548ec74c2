"""Published tasks by their names, on an engine: the calls and the shapes of answers that people know."""

from importlib import import_module
from pathlib import Path
from typing import Any

from distilbert.core.config import read_config
from distilbert.core.parameters import Head
from distilbert.core.sentence_folders import encoder_folder, has_modules
from distilbert.core.tasks.folders import head_of
from distilbert.core.teachers.entailment import entails
from distilbert.errors import ConfigError

#: Of each task the class in the file of its name.
TASKS = {
    "text-classification": "TextClassification",
    "token-classification": "TokenClassification",
    "question-answering": "QuestionAnswering",
    "fill-mask": "FillMask",
    "feature-extraction": "FeatureExtraction",
    "sentence-embedding": "SentenceEmbedding",
    "sentence-similarity": "SentenceSimilarity",
    "sparse-embedding": "SparseEmbedding",
    "zero-shot-classification": "ZeroShotClassification",
    "multiple-choice": "MultipleChoice",
}

#: What a model with a head answers; what it is asked first stands first.
BY_HEAD = {
    Head.SEQUENCE_CLASSIFICATION: ("text-classification", "zero-shot-classification"),
    Head.TOKEN_CLASSIFICATION: ("token-classification",),
    Head.QUESTION_ANSWERING: ("question-answering",),
    Head.MULTIPLE_CHOICE: ("multiple-choice",),
    Head.MASKED_LM: ("fill-mask", "sparse-embedding"),
    Head.NONE: ("sentence-embedding", "sentence-similarity", "feature-extraction"),
}

#: Other names of tasks.
ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def tasks_of(folder: Path) -> tuple[str, ...]:
    """The published tasks that a folder's model can be asked, what it was made for first.

    Raises:
        CheckpointError: the folder cannot be read.
        ConfigError: it is another kind of model's.
    """
    head = head_of(folder)
    tasks = BY_HEAD[head]
    if head is Head.NONE and not has_modules(folder):
        return tasks[::-1]
    if head is Head.SEQUENCE_CLASSIFICATION:
        labels = read_config(encoder_folder(folder)).id2label
        return tasks if entails(list(labels.values())) else tasks[:1]
    return tasks


def pipeline(task: str, model: str | Path, **settings: Any) -> Any:
    """What answers a published task: texts in, plain lists and dictionaries out.

    Args:
        task: a name in ``TASKS``, or an alias.
        model: a BERT or DistilBERT with the task's head: a folder, or its name on a hub.
        **settings: what calls usually say, such as ``top_k`` or ``aggregation_strategy``; ``on_long`` as
            ``Engine``; ``runtime``, ``streams``, ``threads``, ``budget`` and ``workers`` as ``Computer``.

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
