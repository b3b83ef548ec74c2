"""What a model's head reads of the last states, and what it gives: the outputs of a graph."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.core.parameters import Head
from distilbert.core.pooling import Pooling
from distilbert.engine.onnx_file import BOOL
from distilbert.engine.plain import Plain

#: Names of axes, and lengths of those that have one.
Axes = Sequence[str | int]

#: The value and the axes of each output, by its published name.
Outputs = Mapping[str, tuple[str, Axes]]

_TOKENS: list[str | int] = ["batch", "sequence"]

#: Poolings that read one token of each text, and whether that is the last one.
_ONE_TOKEN = {"cls": False, "lasttoken": True}


def read_token(head: Head, pooling: Pooling | None) -> bool | None:
    """Which token alone is read: True the last live one, False the first, None not one token only."""
    if head.reads_one_token:
        return False
    if pooling is not None and len(pooling.modes) == 1:
        return _ONE_TOKEN.get(pooling.modes[0])
    return None


def place(form: Plain, attention_mask: str, *, last: bool) -> str:
    """The column of each text's first live token, or of its last one, [B, 1]."""
    return form.nodes.add("ArgMax", attention_mask, axis=1, keepdims=1, select_last_index=int(last))


def at_place(form: Plain, x: str, column: str) -> str:
    """The states [B, 1, D] that stand there."""
    where = form.nodes.add("Unsqueeze", column, form.nodes.whole(2))
    return form.nodes.add("GatherND", x, where, batch_dims=1)


def outputs(
    form: Plain,
    x: str,
    attention_mask: str,
    arrays: Any,
    config: EncoderConfig,
    head: Head,
    pooling: Pooling | None,
    *,
    single: bool,
) -> Outputs:
    """What the head gives.

    Args:
        form: how parts are written.
        x: the last states [B, S, D], or with ``single`` those of one token of each text, [B, 1, D].
        attention_mask: as the graph is given it.
        arrays: the model's, by attributes.
        config: its configuration.
        head: what stands on the encoder.
        pooling: what makes vectors of states, where the model has no head.
        single: whether only one token's states are there.
    """
    if head.reads_one_token:
        first_BD = _flat(form, x)
        if isinstance(config, BertConfig):
            pooled = arrays.bert.pooler.dense
            first_BD = form.nodes.add("Tanh", _linear(form, first_BD, pooled, "pooler"))
        else:
            first_BD = form.nodes.add("Relu", _linear(form, first_BD, arrays.pre_classifier, "before"))
        width = 1 if head is Head.MULTIPLE_CHOICE else config.num_labels
        return {"logits": (_linear(form, first_BD, arrays.classifier, "classifier"), ["batch", width])}
    if head is Head.TOKEN_CLASSIFICATION:
        logits = _linear(form, x, arrays.classifier, "classifier")
        return {"logits": (logits, [*_TOKENS, config.num_labels])}
    if head is Head.QUESTION_ANSWERING:
        both = form.nodes.add("Split", _linear(form, x, arrays.qa_outputs, "limits"), axis=-1, outputs=2)
        names = ("start_logits", "end_logits")
        squeezed = [form.nodes.add("Squeeze", limit, form.nodes.whole(2)) for limit in both]
        return {name: (limit, _TOKENS) for name, limit in zip(names, squeezed, strict=True)}
    if head is Head.MASKED_LM:
        return {"logits": (_of_vocabulary(form, x, arrays, config), [*_TOKENS, config.vocab_size])}
    if pooling is None:
        return {"last_hidden_state": (x, [*_TOKENS, config.dim])}
    width = config.dim * len(pooling.modes)
    return {"sentence_embedding": (_pooled(form, x, attention_mask, pooling, single), ["batch", width])}


def _linear(form: Plain, x: str, weights: SimpleNamespace, name: str) -> str:
    return form.bias(form.product(x, weights, name), weights.bias, name)


def _flat(form: Plain, x_B1D: str) -> str:
    return form.nodes.add("Squeeze", x_B1D, form.nodes.whole(1))


def _of_vocabulary(form: Plain, x: str, arrays: Any, config: EncoderConfig) -> str:
    """Logits [B, S, V]. Of a tied model the table of words is there once, and read in both ways."""
    add, nodes = form.nodes.add, form.nodes
    transform = arrays.vocab_transform
    x = form.activate(form.product(x, transform, "transform"), transform.bias, config.activation, "transform")
    x = form.norm(x, arrays.vocab_layer_norm, "transform")
    if config.tie_word_embeddings:
        table = nodes.array(getattr(arrays, config.model_type).embeddings.word_embeddings.weight, "words")
    else:
        table = nodes.array(arrays.vocab_projector.weight, "projector.weight")
    bias = nodes.array(arrays.vocab_projector.bias, "projector.bias")
    logits = add("Gemm", add("Reshape", x, nodes.whole(-1, config.dim)), table, bias, transB=1)
    sizes = add("Slice", add("Shape", x), nodes.whole(0), nodes.whole(2))
    return add("Reshape", logits, add("Concat", sizes, nodes.whole(config.vocab_size), axis=0))


def _pooled(form: Plain, x: str, attention_mask: str, pooling: Pooling, single: bool) -> str:
    """One vector a text; those of several poolings side by side."""
    if single:
        return _flat(form, x)
    parts = [_POOLINGS[mode](form, x, attention_mask) for mode in pooling.modes]
    return parts[0] if len(parts) == 1 else form.nodes.add("Concat", *parts, axis=1)


def _at(last: bool) -> Any:
    def pooled(form: Plain, x: str, mask: str) -> str:
        return _flat(form, at_place(form, x, place(form, mask, last=last)))

    return pooled


def _greatest(form: Plain, x: str, mask: str) -> str:
    add = form.nodes.add
    live = add("Cast", add("Unsqueeze", mask, form.nodes.whole(2)), to=BOOL)
    least = form.nodes.number(float(np.finfo(np.float32).min))
    return add("ReduceMax", add("Where", live, x, least), axes=[1], keepdims=0)


def _mean(form: Plain, x: str, mask: str) -> str:
    weights = form.as_numbers(mask)
    return form.nodes.add("Div", _weighed(form, x, weights), _total(form, weights))


def _mean_of_root(form: Plain, x: str, mask: str) -> str:
    weights = form.as_numbers(mask)
    return form.nodes.add("Div", _weighed(form, x, weights), form.nodes.add("Sqrt", _total(form, weights)))


def _weighted_mean(form: Plain, x: str, mask: str) -> str:
    """1 for a text's first token, 2 for the next: later ones count for more."""
    live = form.as_numbers(mask)
    weights = form.nodes.add("Mul", live, form.nodes.add("CumSum", live, form.nodes.whole(1)))
    return form.nodes.add("Div", _weighed(form, x, weights), _total(form, weights))


def _weighed(form: Plain, x: str, weights_BS: str) -> str:
    """The weighted sum of each text's states, [B, D]."""
    row_B1S = form.nodes.add("Unsqueeze", weights_BS, form.nodes.whole(1))
    return _flat(form, form.nodes.add("MatMul", row_B1S, x))


def _total(form: Plain, weights_BS: str) -> str:
    """The sum of each text's weights, never zero, [B, 1]."""
    total = form.nodes.add("ReduceSum", weights_BS, form.nodes.whole(1), keepdims=1)
    return form.nodes.add("Max", total, form.nodes.number(1e-9))


_POOLINGS = {
    "cls": _at(False),
    "max": _greatest,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_of_root,
    "weightedmean": _weighted_mean,
    "lasttoken": _at(True),
}
