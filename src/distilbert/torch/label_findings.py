"""What is likely wrong with a run of labelled examples, with a teacher or without."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from distilbert.core.recipe import Training
from distilbert.core.teachers.targets import Targets
from distilbert.torch.doctor import Finding, of_all, of_unknown
from distilbert.torch.train import Objective

#: Fewer labelled texts than these say nothing about a teacher.
_FEW = 20

#: Of the texts, how many more must be right under other names, for these to be the teacher's.
_CLEARLY_MORE = 0.2

#: What gives a loss of examples a gradient.
_REMEDY = (
    "Give a term of the loss a weight that this model and its data can lower, such as --label-weight, and "
    "let more of the model learn if some of it is frozen (--freeze none)."
)

Ids = np.ndarray[Any, np.dtype[np.int32]]
Labels = np.ndarray[Any, np.dtype[np.int64]]


def examine(
    objective: Objective,
    recipe: Training,
    *,
    texts: Sequence[Ids],
    unknown_id: int,
    names: Sequence[str] = (),
    labels: Labels | None = None,
    taught: Targets | None = None,
) -> list[Finding]:
    """What is likely wrong with a run that is about to start; nothing is changed.

    Args:
        objective: what is to be learnt.
        recipe: of the run.
        texts: ids of each.
        unknown_id: of what the vocabulary does not have.
        names: of the labels.
        labels: of the first texts, numbers of ``names``; None where they are no such labels.
        taught: a teacher's answers to those of the labels, in the order of ``names``.
    """
    unknown = sum(int(np.count_nonzero(ids == unknown_id)) for ids in texts)
    found = [*of_unknown(unknown, sum(map(len, texts)))]
    found += of_all(objective, recipe, {"the model": objective.model}, remedy=_REMEDY)
    if taught is not None and labels is not None:
        found += of_answers(taught, labels, names)
    return found


def of_answers(taught: Targets, labels: Labels, names: Sequence[str]) -> Iterator[Finding]:
    """A teacher whose labels stand in another order than its names say, or that knows nothing of the task.

    Args:
        taught: the teacher's answers; where there is none, or all classes are alike, it says nothing.
        labels: the true ones, [texts].
        names: of the labels, [C].
    """
    says = taught.known & (taught.logits.max(-1) > taught.logits.min(-1))
    said, labels = taught.answers[says], labels[says]
    if len(labels) < _FEW:
        return
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (said, labels), 1)
    right, commonest = np.trace(counts) / len(labels), counts.sum(0).max() / len(labels)
    meant = counts.argmax(1)
    other = counts[np.arange(len(names)), meant].sum() / len(labels)
    if sorted(meant) == list(range(len(names))) and other > max(right, commonest) + _CLEARLY_MORE:
        pairs = ", ".join(f"{names[i]} for {names[j]}" for i, j in enumerate(meant) if i != j)
        yield Finding(
            f"The teacher's labels stand in another order than its names say: it says {pairs}, and would "
            f"then be right for {other:.0%} of the labelled texts, not for {right:.0%}.",
            "Correct id2label and label2id in the teacher's config.json.",
        )
    elif right <= commonest:
        yield Finding(
            f"The teacher is right for {right:.0%} of the labelled texts, which is no better than to say the "
            f"commonest label always ({commonest:.0%}).",
            "Fine-tune it on such texts first: distilbert finetune; or leave it out.",
        )
