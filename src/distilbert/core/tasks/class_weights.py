"""How much each label counts in a loss, where some are rare."""

from collections.abc import Sequence

import numpy as np

from distilbert.core.data.token_rows import Array, is_known
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.core.tasks.task import Task
from distilbert.core.tasks.token_classification import TokenClassification
from distilbert.errors import ConfigError


def balanced(task: Task, targets: Sequence[Array]) -> Array:
    """Weights with which the answers of each label count as much as those of any other, [C] in float32.

    Of one label out of several: answers / (labels x answers of this label), as scikit-learn's "balanced". Of
    labels that are true or not: how many times a label's truth counts, untrue / true, so that both sides
    count alike.

    Args:
        task: says which labels there are.
        targets: what each item is told.

    Raises:
        ConfigError: the task's answers are no labels.
    """
    known = [target[is_known(target)] for target in targets]
    if isinstance(task, MultiLabelClassification):
        truth = np.stack([target for target in targets if is_known(target).all()])
        true = truth.sum(axis=0)
        # Of a label that is never true, or always, nothing can be balanced.
        both = (true > 0) & (true < len(truth))
        return np.where(both, (len(truth) - true) / np.maximum(true, 1), 1.0).astype(np.float32)
    if not isinstance(task, SequenceClassification | TokenClassification):
        raise ConfigError(
            "Only labels can be weighted.",
            received=f"class_weights=balanced for {task.name}",
            remedy="Leave it out: --class-weights none",
        )
    counts = np.bincount(np.concatenate([np.atleast_1d(ids) for ids in known]), minlength=len(task.labels))
    weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 1.0).astype(np.float32)
