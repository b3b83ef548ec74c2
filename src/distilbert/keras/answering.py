"""How items pass through a model, and what answers cost: the one place here that tells tasks apart."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from keras import ops

from distilbert.core.config import BertConfig, DistilBertConfig, EncoderConfig
from distilbert.core.data.collate import length_sorted_batches
from distilbert.core.data.token_rows import Array as Numbers
from distilbert.core.data.token_rows import Indices, TokenRows, by_item
from distilbert.core.parameters import Head
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.answering import cut
from distilbert.core.tasks.finite import check_finite
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
from distilbert.core.tasks.task import Task
from distilbert.errors import ConfigError
from distilbert.keras import bert, distilbert
from distilbert.keras.graphs import Graphs
from distilbert.keras.losses import (
    binary_divergence_sum,
    binary_sum,
    cross_entropy_sum,
    known_distribution_sum,
    square_sum,
)
from distilbert.keras.modules import Tensor
from distilbert.keras.pretrained import PreTrainedModel

#: The heads that models are built with.
_CLASSES: dict[Head, dict[type[EncoderConfig], type[PreTrainedModel]]] = {
    Head.SEQUENCE_CLASSIFICATION: {
        DistilBertConfig: distilbert.DistilBertForSequenceClassification,
        BertConfig: bert.BertForSequenceClassification,
    },
    Head.MULTIPLE_CHOICE: {
        DistilBertConfig: distilbert.DistilBertForMultipleChoice,
        BertConfig: bert.BertForMultipleChoice,
    },
    Head.TOKEN_CLASSIFICATION: {
        DistilBertConfig: distilbert.DistilBertForTokenClassification,
        BertConfig: bert.BertForTokenClassification,
    },
    Head.QUESTION_ANSWERING: {
        DistilBertConfig: distilbert.DistilBertForQuestionAnswering,
        BertConfig: bert.BertForQuestionAnswering,
    },
}


def new_model(
    task: Task, config: EncoderConfig, *, policy: str = "float32", seed: int = 0
) -> PreTrainedModel:
    """A new model of the configuration's kind for a task, without numbers.

    Args:
        task: that it is to answer.
        config: its sizes.
        policy: Keras' name of the types that it computes in.
        seed: of the numbers that its folder will lack.

    Raises:
        ConfigError: there is none here.
    """
    if isinstance(task, SentenceEmbedding):
        raise ConfigError(
            "Sentence embeddings are trained and made in PyTorch.",
            received=f"the task {task.name} for Keras",
            remedy="Leave --backend out.",
        )
    return _CLASSES[task.head][type(config)](config, dtype=policy, seed=seed, _do_init=False)


def batch_of(rows: TokenRows, items: Indices, model: Any, pad: int) -> dict[str, Numbers]:
    """Some items as what ``logits_of`` takes.

    Args:
        rows: of all items.
        items: the numbers of those that are wanted.
        model: that will read them.
        pad: the id of padding.

    Returns:
        ``input_ids``, ``attention_mask`` and of pairs for a BERT ``token_type_ids``, [items, S]; where items
        have several rows [items, choices, S], and ``sizes`` [items], how many each has.
    """
    # A DistilBERT has no token types: which text a token is of, it is told by [SEP] alone.
    given = rows.batch(items, pad_token_id=pad, token_types=isinstance(model.config, BertConfig))
    if "sizes" in given:
        sizes = given.pop("sizes")
        fills = {"input_ids": pad}
        given = {name: by_item(array, sizes, fills.get(name, 0)) for name, array in given.items()}
        given["sizes"] = sizes
    return narrowed(given)


def narrowed(arrays: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """Numbers of 32 bits each."""
    kinds = {True: np.int32, False: np.float32}
    return {name: x.astype(kinds[np.issubdtype(x.dtype, np.integer)]) for name, x in arrays.items()}


def logits_of(head: Head, model: Any, given: Mapping[str, Tensor], key: Tensor | None = None) -> Tensor:
    """The logits of a batch's items, [items, ..., C], in fp32; the last axis is minus infinity where an item
    has fewer choices than another. ``key`` is to drop by.
    """
    inputs = {
        name: given[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in given
    }
    # What a call does once its arguments are checked; a call draws its own key.
    output = model._compute(model._batch(inputs, first_only=head.reads_one_token), None, key, {})
    if head is Head.QUESTION_ANSWERING:
        # Which token an answer begins with is one of several, and so is which it ends with.
        return ops.cast(ops.stack([output["start_logits"], output["end_logits"]], axis=1), "float32")
    logits = ops.cast(output["logits"], "float32")
    if head is Head.MULTIPLE_CHOICE:
        there = ops.less(ops.arange(ops.shape(logits)[1], dtype="int32"), given["sizes"][:, None])
        logits = ops.where(there, logits, ops.full_like(logits, -np.inf))
    return logits


def logits_of_items(
    task: Task,
    model: PreTrainedModel,
    rows: TokenRows,
    pad: int,
    *,
    batch_size: int = 32,
    stage: str = "predict",
    progress: Progress = silent,
) -> list[Numbers]:
    """The logits of all items, one by one, as a model gives them that drops nothing.

    Args:
        task: whose items they are.
        model: that reads them, in the types that it computes in.
        rows: of the items.
        pad: the id of padding.
        batch_size: items in memory at once.
        stage: the name under which progress is reported.
        progress: told of every batch.

    Raises:
        CheckpointError: the model's answer is no number.
    """
    found: list[Any] = [None] * len(rows)
    # Kept with the model, past Keras' account of what a model is made of.
    graphs = model.__dict__.setdefault("_answering", Graphs(partial(logits_of, model.head, model), model))
    done = 0
    for items in length_sorted_batches(rows.lengths, batch_size=batch_size):
        given = batch_of(rows, items, model, pad)
        lengths = given["attention_mask"].sum(-1).tolist()
        sizes = given["sizes"].tolist() if "sizes" in given else None
        for item, own in zip(items, cut(task.head, graphs(given).numpy(), lengths, sizes), strict=True):
            found[item] = own
        done += len(items)
        progress(stage, done, len(rows), {})
    check_finite(found, of="item")
    return found


def label_sum(task: Task, logits: Tensor, labels: Tensor, weights: Any = None) -> Tensor:
    """What the true answers cost, summed over all that are known; ``weights`` are of the labels, [C]."""
    if isinstance(task, MultiLabelClassification):
        return binary_sum(logits, labels, weights)
    if isinstance(task, Regression):
        return square_sum(logits, labels)
    # Of options there are as many as the largest question has.
    flat = ops.reshape(logits, (-1, ops.shape(logits)[-1]))
    return cross_entropy_sum(flat, ops.reshape(labels, (-1,)), weights)


def teacher_sum(task: Task, logits: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """What it costs to differ from a teacher's logits, summed over all that are known."""
    if isinstance(task, MultiLabelClassification):
        return binary_divergence_sum(logits, teacher, temperature=temperature)
    if isinstance(task, Regression):
        return square_sum(logits, teacher)
    return known_distribution_sum(logits, teacher, temperature=temperature)
