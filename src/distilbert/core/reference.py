"""The model and the losses in plain numpy: slow, obvious, and the oracle of every parity test.

Whatever a wing computes in some clever way must come out as it does here. Everything is computed in
float64. Shape letters: B batch, S sequence, D width, N heads, H head width, V vocabulary, C classes.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from distilbert.core import parameters
from distilbert.core.config import BertConfig, EncoderConfig

Array = np.ndarray[Any, Any]

#: The erf form: x times the normal distribution's cumulative function.
_ERF = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + _ERF(x / math.sqrt(2.0)))


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": lambda x: x * sigmoid(x),
    "swish": lambda x: x * sigmoid(x),
    "tanh": np.tanh,
}


@dataclass(frozen=True)
class Encoded:
    """What an encoder gives: L + 1 hidden states [B, S, D] (embeddings first), L attentions [B, N, S, S]."""

    hidden_states: tuple[Array, ...]
    attentions: tuple[Array, ...]

    @property
    def last_hidden_state(self) -> Array:
        return self.hidden_states[-1]


def encode(
    config: EncoderConfig,
    arrays: Mapping[str, Array],
    input_ids: Array,
    attention_mask: Array | None = None,
    token_type_ids: Array | None = None,
) -> Encoded:
    """The encoder, without dropout. Padding positions come out as zeros.

    Args:
        config: the model's sizes.
        arrays: its arrays by key, with or without a head.
        input_ids: [B, S].
        attention_mask: [B, S], 1 for live tokens; None means all are.
        token_type_ids: [B, S], for a BERT; None means type 0.
    """
    base = parameters.split_base(arrays, config)
    weights = parameters.as_attributes({k: a.astype(np.float64) for k, a in base.items()})
    live_BS = np.ones(input_ids.shape, bool) if attention_mask is None else attention_mask.astype(bool)
    first_BSD = embedded(config, weights, input_ids, token_type_ids)
    hidden_states, attentions = [first_BSD], []
    for x_BSD, attention_BNSS in layers(config, weights, first_BSD, live_BS, ACTIVATIONS[config.activation]):
        hidden_states.append(x_BSD)
        attentions.append(attention_BNSS)
    return Encoded(tuple(h * live_BS[..., None] for h in hidden_states), tuple(attentions))


def embedded(
    config: EncoderConfig, weights: Any, input_ids: Array, token_type_ids: Array | None = None
) -> Array:
    """The states that the first layer reads, [B, S, D].

    Args:
        config: the model's sizes.
        weights: the encoder's, by attributes.
        input_ids: [B, S].
        token_type_ids: [B, S], for a BERT; None means type 0.
    """
    table = weights.embeddings
    x_BSD = table.word_embeddings.weight[input_ids]
    x_BSD = x_BSD + table.position_embeddings.weight[: input_ids.shape[1]]
    if isinstance(config, BertConfig):
        types_BS = np.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        x_BSD = x_BSD + table.token_type_embeddings.weight[types_BS]
    return layer_norm(x_BSD, table.LayerNorm, config.layer_norm_eps)


def layers(
    config: EncoderConfig,
    weights: Any,
    x_BSD: Array,
    live_BS: Array,
    activation: Callable[[Array], Array],
) -> Iterator[tuple[Array, Array]]:
    """What each layer gives: states [B, S, D] and attention [B, N, S, S], in the precision of the weights."""
    eps = config.layer_norm_eps
    for i in range(config.n_layers):
        block = getattr(weights.transformer.layer, str(i))
        context_BSD, attention_BNSS = attend(x_BSD, live_BS, block.attention, config.dim // config.n_heads)
        x_BSD = layer_norm(context_BSD + x_BSD, block.sa_layer_norm, eps)
        expanded_BSF = activation(linear(x_BSD, block.ffn.lin1))
        x_BSD = layer_norm(linear(expanded_BSF, block.ffn.lin2) + x_BSD, block.output_layer_norm, eps)
        yield x_BSD, attention_BNSS


def attend(x_BSD: Array, live_BS: Array, weights: SimpleNamespace, head_width: int) -> tuple[Array, Array]:
    """Self-attention over the live columns; a row of a batch without any attends to nothing."""

    def heads(x: Array) -> Array:
        return x.reshape(*x.shape[:2], -1, head_width).transpose(0, 2, 1, 3)

    q_BNSH = heads(linear(x_BSD, weights.q_lin))
    k_BNSH = heads(linear(x_BSD, weights.k_lin))
    v_BNSH = heads(linear(x_BSD, weights.v_lin))
    scores_BNSS = q_BNSH @ k_BNSH.swapaxes(-1, -2) / math.sqrt(q_BNSH.shape[-1])
    columns_B11S = live_BS[:, None, None, :]
    scores_BNSS = np.where(columns_B11S, scores_BNSS, -1e30)
    probs_BNSS = np.exp(log_softmax(scores_BNSS)) * columns_B11S
    context_BSD = (probs_BNSS @ v_BNSH).transpose(0, 2, 1, 3).reshape(*x_BSD.shape[:2], -1)
    return linear(context_BSD, weights.out_lin), probs_BNSS


def masked_lm_logits(config: EncoderConfig, arrays: Mapping[str, Array], hidden_BSD: Array) -> Array:
    """Logits over the vocabulary, [B, S, V], from the last hidden state."""
    words = arrays[parameters.base_prefix(config) + parameters.WORD_EMBEDDINGS]
    head = {k: a.astype(np.float64) for k, a in arrays.items()}
    weights = parameters.as_attributes(head)
    x_BSD = ACTIVATIONS[config.activation](linear(hidden_BSD, weights.vocab_transform))
    x_BSD = layer_norm(x_BSD, weights.vocab_layer_norm, config.layer_norm_eps)
    tied = config.tie_word_embeddings
    kernel_VD = words.astype(np.float64) if tied else weights.vocab_projector.weight
    return x_BSD @ kernel_VD.T + weights.vocab_projector.bias


def class_logits(
    config: EncoderConfig, arrays: Mapping[str, Array], hidden_BSD: Array, first_live_B: Array
) -> Array:
    """Logits over the classes, [B, C], from the hidden state of each row's first live column."""
    weights = parameters.as_attributes({k: a.astype(np.float64) for k, a in arrays.items()})
    x_BD = hidden_BSD[np.arange(len(hidden_BSD)), first_live_B]
    if isinstance(config, BertConfig):
        x_BD = np.tanh(linear(x_BD, weights.bert.pooler.dense))
    else:
        x_BD = np.maximum(linear(x_BD, weights.pre_classifier), 0.0)
    return linear(x_BD, weights.classifier)


def cross_entropy(logits_TC: Array, labels_T: Array) -> Array:
    """Negative log-likelihood of each row's label, [T]."""
    rows = np.arange(len(labels_T))
    return -log_softmax(logits_TC)[rows, labels_T]


def distribution_loss(student_TC: Array, teacher_TC: Array, temperature: float) -> Array:
    """Kullback-Leibler divergence of the student from the teacher at a temperature, times its square, [T]."""
    student, teacher = log_softmax(student_TC / temperature), log_softmax(teacher_TC / temperature)
    return temperature**2 * np.sum(np.exp(teacher) * (teacher - student), axis=-1)


def cosine_loss(student_TD: Array, teacher_TD: Array) -> Array:
    """One minus the cosine of each pair of rows, [T]."""
    lengths = np.linalg.norm(student_TD, axis=-1) * np.linalg.norm(teacher_TD, axis=-1)
    return 1.0 - np.sum(student_TD * teacher_TD, axis=-1) / lengths


def linear(x: Array, weights: SimpleNamespace) -> Array:
    return x @ weights.weight.T + weights.bias


def layer_norm(x: Array, weights: SimpleNamespace, eps: float) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    return centred / np.sqrt(variance + eps) * weights.weight + weights.bias


def log_softmax(x: Array) -> Array:
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
