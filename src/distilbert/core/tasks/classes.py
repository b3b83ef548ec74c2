"""Label by label: precision, recall and F1 of each, and which is taken for which."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array
from distilbert.core.tasks.tags import spans

#: Of a label: precision, recall, F1 and how many are true.
Classes = dict[str, dict[str, float]]


def class_table(truth: Array, told: Array, labels: Sequence[str]) -> Classes:
    """Each label's ``precision``, ``recall``, ``f1`` and ``rows`` that it is true of, by scikit-learn; 0
    where nothing is counted.

    Args:
        truth: ids [N], or where several may be right 1 for each that is, [N, C].
        told: likewise.
        labels: by id.
    """
    from sklearn.metrics import precision_recall_fscore_support

    figures = precision_recall_fscore_support(
        truth, told, labels=np.arange(len(labels)), average=None, zero_division=0
    )
    return {label: _figures(*own) for label, *own in zip(labels, *figures, strict=True)}


def entity_table(truth: Iterable[Sequence[str]], told: Iterable[Sequence[str]]) -> Classes:
    """The same of each kind of entity: an entity is right where its kind, beginning and end are.

    Args:
        truth: tags of each text's words.
        told: likewise.
    """
    true, found = (
        {(text, *span) for text, tags in enumerate(rows) for span in spans(tags)} for rows in (truth, told)
    )
    table = {}
    for kind in sorted({label for _, label, _, _ in true | found}):
        own_true, own_found = ({span for span in every if span[1] == kind} for every in (true, found))
        hits = len(own_true & own_found)
        table[kind] = _figures(
            hits / max(1, len(own_found)),
            hits / max(1, len(own_true)),
            2 * hits / (len(own_true) + len(own_found)),
            len(own_true),
        )
    return table


def confusion(truth: Array, told: Array, labels: Sequence[str]) -> dict[str, Any]:
    """How many of each label's rows were taken for which, by scikit-learn: ``counts`` [C true, C told]."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(truth, told, labels=np.arange(len(labels)))
    return {"labels": list(labels), "counts": counts.tolist()}


def _figures(precision: float, recall: float, f1: float, rows: float) -> dict[str, float]:
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1), "rows": int(rows)}
