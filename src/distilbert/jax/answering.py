"""How items pass through a model, and what answers cost: the one place here that tells tasks apart.

Batches have few shapes, each of which is compiled once: rows are as wide as ``batch.bucket`` says, and there
are as many of them as fit into memory at once, or the next power of two where there are fewer. What is added
is padding throughout, which has no answer and costs nothing.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from distilbert.core.config import IGNORED_LABEL, BertConfig, DistilBertConfig, EncoderConfig
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
from distilbert.jax import bert, distilbert
from distilbert.jax.batch import bucket
from distilbert.jax.losses import (
    binary_divergence_sum,
    binary_sum,
    cross_entropy_sum,
    known_distribution_sum,
    square_sum,
)
from distilbert.jax.modules import Array
from distilbert.jax.pretrained import PreTrainedModel

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


def new_model(task: Task, config: EncoderConfig, *, dtype: Any = jnp.float32) -> PreTrainedModel:
    """A new model of the configuration's kind for a task, without numbers.

    Raises:
        ConfigError: there is none here.
    """
    if isinstance(task, SentenceEmbedding):
        raise ConfigError(
            "Sentence embeddings are trained and made in PyTorch.",
            received=f"the task {task.name} for JAX",
            remedy="Leave --backend out.",
        )
    return _CLASSES[task.head][type(config)](config, dtype=dtype, _do_init=False)


def batch_of(rows: TokenRows, items: Indices, model: Any, pad: int, *, most: int) -> dict[str, Numbers]:
    """Some items as what ``logits_of`` takes.

    Args:
        rows: of all items.
        items: the numbers of those that are wanted.
        model: that will read them.
        pad: the id of padding.
        most: items in memory at once.

    Returns:
        ``input_ids``, ``attention_mask`` and of pairs for a BERT ``token_type_ids``, [items, S]; where items
        have several rows [items, choices, S], and ``sizes`` [items], how many each has.
    """
    # A DistilBERT has no token types: which text a token is of, it is told by [SEP] alone.
    given = rows.batch(items, pad_token_id=pad, token_types=isinstance(model.config, BertConfig))
    sizes = given.pop("sizes", None)
    length = bucket(given["input_ids"].shape[1], model.config.max_position_embeddings)
    fills = {"input_ids": pad, "attention_mask": 0, "token_type_ids": 0}
    count = rows_for(len(items), most)
    shape: tuple[int, ...] = (count, length)
    if sizes is not None:
        shape = (count, int(sizes.max()), length)
        given = {name: by_item(array, sizes, fills[name]) for name, array in given.items()}
        given["sizes"], fills["sizes"] = sizes, 0
    return {
        name: filled(array.astype(np.int32), shape[: array.ndim], fills[name])
        for name, array in given.items()
    }


def rows_for(count: int, most: int) -> int:
    """How many rows a batch of so many has: as many as are in memory at once, or the next power of two."""
    return max(count, min(most, 1 << (count - 1).bit_length()))


def filled(array: Numbers, shape: tuple[int, ...], fill: Any) -> Numbers:
    """An array made larger, by ``fill`` behind it along each axis."""
    more = [(0, wanted - there) for there, wanted in zip(array.shape, shape, strict=True)]
    return np.pad(array, more, constant_values=fill)


def answers_of(
    task: Task, answers: Mapping[str, Numbers], given: Mapping[str, Numbers]
) -> dict[str, Numbers]:
    """What items are to be told, in the shapes that the logits of a batch have."""
    count, length = given["input_ids"].shape[0], given["input_ids"].shape[-1]
    found = {}
    for name, array in answers.items():
        shape = [count, *array.shape[1:]]
        if task.head is Head.TOKEN_CLASSIFICATION:
            shape[1] = length
        elif task.head is Head.QUESTION_ANSWERING and array.ndim == 3:
            shape[2] = length
        elif task.head is Head.MULTIPLE_CHOICE and array.ndim == 2:
            shape[1] = given["input_ids"].shape[1]
        whole = np.issubdtype(array.dtype, np.integer)
        array = array.astype(np.int32 if whole else np.float32)
        found[name] = filled(array, tuple(shape), IGNORED_LABEL if whole else np.nan)
    return found


def logits_of(head: Head, model: Any, given: Mapping[str, Array], key: Array | None = None) -> Array:
    """The logits of a batch's items, [items, ..., C], in fp32, in pure JAX; the last axis is minus infinity
    where an item has fewer choices than another. ``key`` is to drop by.
    """
    output = model(
        given["input_ids"],
        given["attention_mask"],
        token_type_ids=given.get("token_type_ids"),
        train=key is not None,
        dropout_rng=key,
        return_dict=True,
    )
    if head is Head.QUESTION_ANSWERING:
        # Which token an answer begins with is one of several, and so is which it ends with.
        return jnp.stack([output.start_logits, output.end_logits], axis=1).astype(jnp.float32)
    logits = output.logits.astype(jnp.float32)
    if head is Head.MULTIPLE_CHOICE:
        sizes = given["sizes"][:, None]
        # What is no item at all has a softmax too.
        there = (jnp.arange(logits.shape[1]) < sizes) | (sizes == 0)
        logits = jnp.where(there, logits, -jnp.inf)
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
        model: that reads them, in the precision that it was made with.
        rows: of the items.
        pad: the id of padding.
        batch_size: items in memory at once.
        stage: the name under which progress is reported.
        progress: told of every batch.

    Raises:
        CheckpointError: the model's answer is no number.
    """
    found: list[Any] = [None] * len(rows)
    graphdef, state = nnx.split(model)
    done = 0
    for items in length_sorted_batches(rows.lengths, batch_size=batch_size):
        given = batch_of(rows, items, model, pad, most=batch_size)
        logits = np.asarray(_logits(graphdef, state, given, head=task.head))
        lengths = given["attention_mask"][: len(items)].sum(-1).tolist()
        sizes = given["sizes"][: len(items)].tolist() if "sizes" in given else None
        for item, own in zip(items, cut(task.head, logits, lengths, sizes), strict=True):
            found[item] = own
        done += len(items)
        progress(stage, done, len(rows), {})
    check_finite(found, of="item")
    return found


@partial(jax.jit, static_argnames=("graphdef", "head"))
def _logits(graphdef: Any, state: Any, given: Mapping[str, Array], *, head: Head) -> Array:
    return logits_of(head, nnx.merge(graphdef, state), given)


def label_sum(task: Task, logits: Array, labels: Array, weights: Array | None = None) -> Array:
    """What the true answers cost, summed over all that are known; ``weights`` are of the labels, [C]."""
    if isinstance(task, MultiLabelClassification):
        return binary_sum(logits, labels, weights)
    if isinstance(task, Regression):
        return square_sum(logits, labels)
    return cross_entropy_sum(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), weights)


def teacher_sum(task: Task, logits: Array, teacher: Array, *, temperature: float) -> Array:
    """What it costs to differ from a teacher's logits, summed over all that are known."""
    if isinstance(task, MultiLabelClassification):
        return binary_divergence_sum(logits, teacher, temperature=temperature)
    if isinstance(task, Regression):
        return square_sum(logits, teacher)
    return known_distribution_sum(logits, teacher, temperature=temperature)
