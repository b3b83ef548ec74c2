"""What is likely wrong with a run of labelled examples, with a teacher or without."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from distilbert.core.data.readers import Span
from distilbert.core.data.token_rows import Array, TokenRows, is_known
from distilbert.core.tasks import chance
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.multiple_choice import MultipleChoice
from distilbert.core.tasks.question_answering import QuestionAnswering
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.core.tasks.task import Task
from distilbert.core.tasks.token_classification import TokenClassification
from distilbert.core.training.findings import Finding, of_unknown

#: Fewer answers say nothing about a teacher; of answers in contexts more are not needed.
_FEW, _ENOUGH = 20, 500

#: Labels that a sentence names.
_NAMED = 4

#: What gives a loss of examples a gradient.
REMEDY = (
    "Give a term of the loss a weight that this model and its data can lower, such as --label-weight, and "
    "let more of the model learn if some of it is frozen (--freeze none)."
)

#: What is done about a teacher that knows nothing.
_UNTAUGHT = "Fine-tune it on such texts first: distilbert finetune; or leave it out."

#: What a teacher says, and of what.
_SAID = {
    SequenceClassification.name: ("labels", "texts"),
    MultiLabelClassification.name: ("labels", "texts"),
    TokenClassification.name: ("tags", "words"),
    Regression.name: ("numbers", "texts"),
}


def of_examples(
    found: Iterable[Finding],
    *,
    task: Task,
    rows: TokenRows,
    unknown_id: int,
    labelled: TokenRows,
    targets: Sequence[Array],
    taught: Sequence[Array] | None = None,
) -> list[Finding]:
    """What is likely wrong with a run that is about to start; nothing is changed.

    Args:
        found: of the model and its first step, as the wing sees them.
        task: of the model.
        rows: all items.
        unknown_id: of what the vocabulary does not have.
        labelled: the first of the items, with where their tokens come from.
        targets: what each item is to be told.
        taught: a teacher's logits of each item, in the order of the task's labels.
    """
    unknown = sum(int(np.count_nonzero(ids == unknown_id)) for ids in rows.input_ids)
    found = [*of_unknown(unknown, sum(map(len, rows.input_ids))), *found]
    if taught is not None:
        first = slice(0, len(labelled))
        found += of_teacher(task, labelled, targets[first], taught[first])
    return found


def of_teacher(
    task: Task, rows: TokenRows, targets: Sequence[Array], taught: Sequence[Array]
) -> Iterator[Finding]:
    """A teacher whose labels stand in another order than its names say, or that knows nothing of the task.

    Args:
        task: of the items.
        rows: labelled items.
        targets: what is true of each.
        taught: the teacher's logits of each; where there are none, or all are alike, it says nothing.
    """
    if isinstance(task, MultipleChoice):
        yield from _of_options(targets, taught)
    elif isinstance(task, QuestionAnswering):
        yield from _of_answers(task, rows, targets, taught)
    elif task.name in _SAID:
        yield from _of_labels(task, targets, taught)


def _of_labels(task: Task, targets: Sequence[Array], taught: Sequence[Array]) -> Iterator[Finding]:
    """Of labels, tags and numbers: whether they go with the true ones, and under which names."""
    one_of = isinstance(task, SequenceClassification | TokenClassification)
    true = np.concatenate([np.reshape(target, (-1,) if one_of else (1, -1)) for target in targets])
    logits = np.concatenate([own.reshape(-1, own.shape[-1]) for own in taught])
    says = is_known(logits).all(-1) & (is_known(true) if one_of else is_known(true).all(-1))
    if one_of:
        says &= logits.max(-1) > logits.min(-1)
    true, logits = true[says], logits[says]
    if len(true) < _FEW or not np.ptp(true, axis=0).any():
        return
    if one_of:
        found = chance.of_labels(logits.argmax(-1), true, logits.shape[-1])
    elif isinstance(task, Regression):
        found = chance.of_numbers(logits[:, 0], true[:, 0])
    else:
        found = chance.of_several(logits, true)
    what, of = _SAID[task.name]
    if found.order:
        names = getattr(task, "labels", ())
        pairs = [f"{names[i]} for {names[j]}" for i, j in enumerate(found.order) if i != j]
        told = ", ".join(pairs[:_NAMED]) + (", and others" if pairs[_NAMED:] else "")
        yield Finding(
            f"The teacher's {what} stand in another order than its names say: it says {told}; so read, they "
            f"go with the true ones by a correlation of {found.in_order:.2f}, and as they are named of "
            f"{found.value:.2f}.",
            "Correct id2label and label2id in the teacher's config.json.",
        )
    elif found.value <= found.by_chance:
        yield Finding(
            f"The teacher's {what} go with the true ones no more than chance may have it: by a correlation "
            f"of {found.value:.2f}, over {found.answers} {of}.",
            _UNTAUGHT,
        )


def _of_options(targets: Sequence[Array], taught: Sequence[Array]) -> Iterator[Finding]:
    known = [(own, int(target)) for own, target in zip(taught, targets, strict=True) if is_known(own).all()]
    if len(known) < _FEW:
        return
    said, true = [int(own.argmax()) for own, _ in known], [target for _, target in known]
    found = chance.of_options(said, true, [len(own) for own, _ in known])
    if found.value <= found.by_chance:
        yield Finding(
            f"The teacher chooses the right option of {found.value:.0%} of {found.answers} questions, which "
            f"is no more than chance may have it ({found.by_chance:.0%}).",
            _UNTAUGHT,
        )


def _of_answers(
    task: QuestionAnswering, rows: TokenRows, targets: Sequence[Array], taught: Sequence[Array]
) -> Iterator[Finding]:
    assert rows.places is not None
    cases: list[tuple[Span, Span, Span]] = []
    for places, target, own in zip(rows.places, targets, taught, strict=True):
        context = places[places[:, 0] == 1]
        found = task.best_spans(own, places) if target[0] and is_known(own).all() else ()
        if not found or len(cases) == _ENOUGH:
            continue  # no answer is here, or the teacher says nothing of it
        _, start, end = max(found)
        true = int(places[target[0], 1]), int(places[target[1], 2])
        cases.append(((start, end), true, (int(context[0, 1]), int(context[-1, 2]))))
    if len(cases) < _FEW:
        return
    overlap = chance.of_spans(cases)
    if overlap.value <= overlap.by_chance:
        yield Finding(
            f"The teacher's answers share {overlap.value:.0%} of their characters with the true ones (F1, in "
            f"{overlap.answers} texts), which is no more than chance may have it ({overlap.by_chance:.0%}).",
            _UNTAUGHT,
        )
