"""How items pass through a model, and what answers cost: the one place here that tells tasks apart."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from distilbert.core.config import DistilBertConfig, EncoderConfig
from distilbert.core.data.collate import length_sorted_batches
from distilbert.core.data.token_rows import Array, Indices, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks import answering
from distilbert.core.tasks.finite import check_finite
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
from distilbert.core.tasks.task import Task
from distilbert.torch import auto
from distilbert.torch.device import autocast
from distilbert.torch.embedder import new_encoder
from distilbert.torch.losses import (
    binary_divergence_sum,
    binary_sum,
    cross_entropy_sum,
    known_distribution_sum,
    square_sum,
)
from distilbert.torch.pooling import pooled_rows
from distilbert.torch.pretrained import PreTrainedModel

#: The heads that models are built with; without one, vectors are pooled.
_CLASSES: dict[Head, type[auto.AutoModel]] = {
    Head.SEQUENCE_CLASSIFICATION: auto.AutoModelForSequenceClassification,
    Head.MULTIPLE_CHOICE: auto.AutoModelForMultipleChoice,
    Head.TOKEN_CLASSIFICATION: auto.AutoModelForTokenClassification,
    Head.QUESTION_ANSWERING: auto.AutoModelForQuestionAnswering,
}


def new_model(head: Head, config: EncoderConfig) -> PreTrainedModel:
    """A new model of the configuration's kind with that head."""
    if head is Head.NONE:
        return new_encoder(config)
    model: PreTrainedModel = _CLASSES[head].classes[type(config)](config)
    return model


def batch_of(rows: TokenRows, items: Indices, model: Any, pad: int) -> dict[str, Any]:
    """Some items as what ``logits_of`` takes, on the model's device.

    Args:
        rows: of all items.
        items: the numbers of those that are wanted.
        model: that will read them.
        pad: the id of padding.
    """
    # A DistilBERT has no token types: which text a token is of, it is told by [SEP] alone.
    arrays = rows.batch(items, pad_token_id=pad, token_types=not isinstance(model.config, DistilBertConfig))
    # Sizes say how the batch is laid out, which is looked at: they stay where looking costs nothing.
    return {
        name: torch.from_numpy(array).to("cpu" if name == "sizes" else model.device)
        for name, array in arrays.items()
    }


def logits_of(task: Task, model: Any, given: Mapping[str, Any]) -> Tensor:
    """The logits of a batch's items, [items, ..., C], in fp32; the last axis is minus infinity where an item
    has fewer choices than another.
    """
    ids, mask, types = given["input_ids"], given["attention_mask"], given.get("token_type_ids")
    if task.head is Head.MULTIPLE_CHOICE:
        # All options of all questions as those of one, since questions may have different numbers of them.
        types = None if types is None else types[None]
        flat = model(ids[None], mask[None], token_type_ids=types, return_dict=True).logits.float()[0]
        options = flat.split(given["sizes"].tolist())
        return nn.utils.rnn.pad_sequence(list(options), batch_first=True, padding_value=float("-inf"))
    if isinstance(task, SentenceEmbedding):
        vectors = pooled_rows(model, ids, mask, task.modules.pooling).float()
        return nn.utils.rnn.pad_sequence(list(vectors.split(given["sizes"].tolist())), batch_first=True)
    output = model(ids, mask, token_type_ids=types, return_dict=True)
    if task.head is Head.QUESTION_ANSWERING:
        # Which token an answer begins with is one of several, and so is which it ends with.
        return torch.stack([output.start_logits, output.end_logits], dim=1).float()
    return output.logits.float()


def cut(task: Task, logits: Array, given: Mapping[str, Any]) -> list[Array]:
    """A batch's logits item by item, without what was added to make them of one size."""
    sizes = given["sizes"].tolist() if "sizes" in given else None
    if isinstance(task, SentenceEmbedding):
        return [task.modules.finish(row[:size]) for row, size in zip(logits, sizes or (), strict=True)]
    return answering.cut(task.head, logits, given["attention_mask"].sum(1).tolist(), sizes)


def logits_of_items(
    task: Task,
    model: Any,
    rows: TokenRows,
    pad: int,
    *,
    precision: str,
    batch_size: int = 32,
    stage: str = "predict",
    progress: Progress = silent,
) -> list[Array]:
    """The logits of all items, one by one, as a model in eval mode gives them.

    Args:
        task: whose items they are.
        model: that reads them.
        rows: of the items.
        pad: the id of padding.
        precision: as in a recipe.
        batch_size: items in memory at once.
        stage: the name under which progress is reported.
        progress: told of every batch.

    Raises:
        CheckpointError: the model's answer is no number.
    """
    found: list[Any] = [None] * len(rows)
    done = 0
    with torch.inference_mode(), autocast(model.device, precision):
        for items in length_sorted_batches(rows.lengths, batch_size=batch_size):
            given = batch_of(rows, items, model, pad)
            logits = logits_of(task, model, given).cpu().numpy()
            for item, own in zip(items, cut(task, logits, given), strict=True):
                found[item] = own
            done += len(items)
            progress(stage, done, len(rows), {})
    check_finite(found, of="item")
    return found


def label_sum(task: Task, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """What the true answers cost, summed over all that are known; ``weights`` are of the labels, [C]."""
    if isinstance(task, MultiLabelClassification):
        return binary_sum(logits, labels, weights)
    if isinstance(task, Regression):
        return square_sum(logits, labels)
    return cross_entropy_sum(logits.flatten(0, -2), labels.flatten(), weights)


def teacher_sum(task: Task, logits: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """What it costs to differ from a teacher's logits, summed over all that are known."""
    if isinstance(task, MultiLabelClassification):
        return binary_divergence_sum(logits, teacher, temperature=temperature)
    if isinstance(task, Regression):
        return square_sum(logits, teacher)
    return known_distribution_sum(logits, teacher, temperature=temperature)
