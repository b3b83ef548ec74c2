"""Which task a table, or a model's folder, is of; and tables out of files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distilbert.core.config import EncoderConfig
from distilbert.core.data.class_names import class_names, named
from distilbert.core.data.sources import Row, known_kind, read_texts
from distilbert.core.data.tables import Part, read_parts
from distilbert.core.sentence_folders import has_modules
from distilbert.core.tasks.examples import Examples, joined
from distilbert.core.tasks.labelled_texts import LabelledTexts
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.multiple_choice import MultipleChoice
from distilbert.core.tasks.question_answering import QuestionAnswering, without_misplaced
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.core.tasks.task import Task
from distilbert.core.tasks.token_classification import TokenClassification
from distilbert.errors import ConfigError, DataError

#: Every task by its name, in the order in which tables are held against them.
TASKS: dict[str, type[Task]] = {
    kind.name: kind
    for kind in (
        TokenClassification,
        SentenceEmbedding,
        MultipleChoice,
        QuestionAnswering,
        MultiLabelClassification,
        Regression,
        SequenceClassification,
    )
}

#: Whatever examples come as: read from a file, labelled texts, or rows.
Table = Examples | LabelledTexts | Iterable[Row]


def read_examples(
    path: str | Path,
    *,
    task: str | None = None,
    columns: Mapping[str, str] | None = None,
    labelled: bool = True,
    misplaced: str = "stop",
    splits: Sequence[str] = ("train",),
) -> Examples:
    """Examples of a task, from a .csv, .tsv, .jsonl, .parquet, .conll (.bio, .iob) or SQuAD's .json file.

    Args:
        path: the file; all kinds but .parquet may be packed. Also a folder of such files; a folder that has
            one of ``.txt`` files for each class, every file a text; or the name of a data set on the hub:
            ``owner/name``, ``owner/name/subset``, ``glue/sst2``, with ``:split`` behind it or not.
        task: its name; None tells it from the columns.
        columns: names of the file's columns by the task's own names of them, such as ``{"text": "review"}``;
            the others are looked for under the usual names.
        labelled: False reads what is to be answered, without its answers.
        misplaced: what becomes of rows whose answer does not stand at its offset in the context: "drop"
            leaves them out, and counts them; "stop" has a training refuse them.
        splits: of a data set on the hub, where its name says none: the first of these that there is.

    Raises:
        DataError: the file, a column or a field is missing or cannot be used; file and line are named.
        ConfigError: there is no such task.
    """
    if misplaced not in ("stop", "drop"):
        raise ConfigError(
            "Misplaced answers are a reason to stop, or to drop their rows.",
            received=f"misplaced={misplaced!r:.40}",
            remedy='Choose "stop" or "drop".',
        )
    if task == SentenceEmbedding.name and known_kind(Path(path)) == ".txt":
        parts = [Part(str(path), list(enumerate(({"text": text} for text in read_texts(path)), start=1)))]
    else:
        parts = read_parts(path, splits=splits)
    wanted = columns or {}
    kind = task_named(task) if task else task_of_rows([row for part in parts for row in part.rows], wanted)
    examples = joined(
        [
            kind.read(part.rows, source=part.source, columns=wanted, labelled=labelled, files=part.files)
            for part in parts
        ],
        source=str(path),
    )
    dropping = labelled and misplaced == "drop" and examples.task == QuestionAnswering.name
    return without_misplaced(examples) if dropping else examples


def as_examples(
    table: Table, *, task: str | None = None, source: str = "the examples", labelled: bool = True
) -> Examples:
    """A table as examples.

    Args:
        table: examples, labelled texts, or rows, each a dictionary.
        task: the task's name; None tells it from the columns.
        source: what errors call rows.
        labelled: False takes what is to be answered, without its answers.

    Raises:
        DataError: it is no table, or holds nothing, or a field cannot be used.
    """
    if isinstance(table, LabelledTexts):
        table = table.examples()
    if isinstance(table, Examples):
        if task is not None and table.task != task:
            raise DataError(
                f"The examples must be of the task {task}.",
                received=f"examples for {table.task}, {table.source}",
                remedy=f'Read them as such: read_examples(path, task="{task}")',
            )
        if labelled and task_named(table.task).target not in table.columns:
            raise DataError(
                "Examples to learn from, or to judge by, must have their answers.",
                received=f"none in {table.source}",
                remedy="Read them with their answers: read_examples(path)",
            )
        return table
    rows: list[tuple[int, Any]] = []
    if not isinstance(table, str | bytes | Path):
        rows = list(enumerate(table, start=1))
    if not rows or not all(isinstance(row, dict) for _, row in rows):
        raise DataError(
            "Examples must be read from a file, or given as rows, each a dictionary.",
            received=f"a {type(table).__name__}" + ("" if rows else " without any"),
            remedy="Use distilbert.read_examples(path).",
        )
    names = class_names(getattr(table, "features", None))
    rows = [(number, named(row, names)) for number, row in rows]
    kind = task_named(task) if task else task_of_rows(rows, {})
    return kind.read(rows, source=source, columns={}, labelled=labelled, files=False)


def task_of_rows(rows: Sequence[tuple[int, Row]], wanted: Mapping[str, str]) -> type[Task]:
    """The task that a table's columns look like."""
    return next(kind for kind in TASKS.values() if kind.fits(rows, wanted))


def task_named(name: str) -> type[Task]:
    """
    Raises:
        ConfigError: there is no such task.
    """
    if name not in TASKS:
        raise ConfigError(
            f"A task is one of {', '.join(TASKS)}.",
            received=f"task={name!r:.80}",
            remedy="Choose one of them.",
        )
    return TASKS[name]


def task_of_folder(config: EncoderConfig, facts: Mapping[str, Any], *, folder: object) -> Task:
    """The task that a folder's model was trained for: as it remembers, else as its configuration looks.

    Raises:
        ConfigError: the configuration is none of that task.
    """
    remembered = facts.get("task", {})
    kind = next((kind for name, kind in TASKS.items() if name == remembered.get("name")), None)
    if kind is None:
        kind = SentenceEmbedding if has_modules(Path(str(folder))) else _looks_like(config)
    return kind.from_config(config, remembered, folder=folder)


def _looks_like(config: EncoderConfig) -> type[Task]:
    for name in config.architectures or ():
        for kind in TASKS.values():
            if name.endswith("For" + kind.head.value.title().replace(" ", "")):
                break
        else:
            continue
        if kind.head is not SequenceClassification.head:
            return kind
    if config.problem_type == "multi_label_classification":
        return MultiLabelClassification
    if config.problem_type == "regression" or (config.problem_type is None and config.num_labels == 1):
        return Regression
    return SequenceClassification
