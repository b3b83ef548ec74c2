"""What a call gives a model, checked and laid out: the model's edge, where lengths become few."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distilbert.core import calls
from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.core.data.packing import PackedBatch
from distilbert.jax.layout import Layout, Packed, Padded
from distilbert.jax.modules import Array
from distilbert.jax.recording import ARRAYS, has_values, is_at_hand, is_floating, is_recording, is_whole

logger = logging.getLogger(__name__)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["layout", "input_ids", "inputs_embeds", "position_ids", "token_type_ids"],
    meta_fields=["first_only"],
)
@dataclass(frozen=True, eq=False)
class Batch:
    """Tokens and how they lie. It passes through whatever takes trees, so a compiled function takes it.

    Attributes:
        layout: padded rows, or rows of several texts; the other arrays lie so.
        input_ids: [B, S], or None with ``inputs_embeds``.
        inputs_embeds: [B, S, D], or None.
        position_ids: [B, S]; None counts the columns from 0.
        token_type_ids: [B, S], of a BERT; None means all 0.
        first_only: of each row only the first token's last state is read.
    """

    layout: Layout
    input_ids: Array | None = None
    inputs_embeds: Array | None = None
    position_ids: Array | None = None
    token_type_ids: Array | None = None
    first_only: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """[B, S]."""
        tokens = self.input_ids if self.input_ids is not None else self.inputs_embeds
        assert tokens is not None
        return tokens.shape[:2]

    @property
    def texts(self) -> int:
        """How many texts there are."""
        return len(self.layout.starts_K) if isinstance(self.layout, Packed) else self.shape[0]


def read(
    config: EncoderConfig,
    *,
    input_ids: Array | PackedBatch | None,
    attention_mask: Array | None = None,
    inputs_embeds: Array | None = None,
    position_ids: Array | None = None,
    token_type_ids: Array | None = None,
    weights: bool = False,
    first_only: bool = False,
) -> Batch:
    """Check a call's arguments against the model, and lay the tokens out.

    Values are checked where they are at hand: not on another device, for which each check would wait, nor
    while a graph is made of the call.

    Raises:
        DataError: shapes, types or values that do not fit the model.
    """
    if isinstance(input_ids, PackedBatch):
        calls.refuse_beside_packed(
            (attention_mask, inputs_embeds, position_ids, token_type_ids), weights=weights
        )
        return _read_packed(config, input_ids)
    refuse_others(
        input_ids=input_ids,
        attention_mask=attention_mask,
        inputs_embeds=inputs_embeds,
        position_ids=position_ids,
        token_type_ids=token_type_ids,
    )
    calls.refuse_both_or_neither(input_ids, inputs_embeds)
    shape = _shape(config, input_ids, inputs_embeds)
    calls.refuse_empty(shape)
    if position_ids is None:
        calls.refuse_longer(config, shape[1])
    else:
        position_ids = _positions(config, position_ids, shape)
    if input_ids is not None:
        check_ids(config, input_ids)
    types = _token_types(config, token_type_ids, shape)
    layout = Padded() if attention_mask is None else _masked(config, attention_mask, shape)
    return Batch(layout, input_ids, inputs_embeds, position_ids, types, first_only)


def widened(config: EncoderConfig, batch: Batch) -> Batch:
    """A batch of rows with padding behind them, so that there are few lengths, each of which is one graph.

    Args:
        config: the model's.
        batch: not traced; one whose arrays lie on several devices stays as it is.
    """
    layout, (_, length) = batch.layout, batch.shape
    more = bucket(length, config.max_position_embeddings) - length
    if not more or not isinstance(layout, Padded):
        return batch
    if not all(is_at_hand(array) for array in jax.tree.leaves(batch)):
        return batch
    live_BS = np.ones(batch.shape, bool) if layout.live_BS is None else np.asarray(layout.live_BS)
    if not live_BS.any(axis=1).all():
        return batch  # a row without live tokens attends to all its columns, and to no more of them
    pairs = None if layout.pairs is None else _wider_pairs(np.asarray(layout.pairs), more)
    return replace(
        batch,
        layout=Padded(_wider(live_BS, more, False), pairs),
        input_ids=_wider(batch.input_ids, more, config.pad_token_id),
        inputs_embeds=_wider(batch.inputs_embeds, more, 0),
        position_ids=_wider(batch.position_ids, more, 0),
        token_type_ids=_wider(batch.token_type_ids, more, 0),
    )


def bucket(length: int, most: int) -> int:
    """The length that rows of this one are computed at.

    Steps grow with the length, so that padding stays a fifth or so of it on average, and a text of 512
    tokens has twelve lengths below it and not five hundred.
    """
    step = 16 if length <= 64 else 32 if length <= 128 else 64
    return max(length, min(most, -(-length // step) * step))


def _wider(rows: Array | None, more: int, fill: Any) -> Array | None:
    if rows is None:
        return None
    around = [(0, 0), (0, more)] + [(0, 0)] * (rows.ndim - 2)
    return np.pad(np.asarray(rows), around, constant_values=fill)


def _wider_pairs(mask: Array, more: int) -> Array:
    """A mask of pairs in which no token attends to what is added, and that to everything."""
    hidden, shown = (False, True) if mask.dtype == np.bool_ else (jnp.finfo(mask.dtype).min, 0)
    rows = more if mask.shape[2] == mask.shape[3] else 0  # else one row is that of all
    mask = np.pad(mask, ((0, 0), (0, 0), (0, 0), (0, more)), constant_values=hidden)
    return np.pad(mask, ((0, 0), (0, 0), (0, rows), (0, 0)), constant_values=shown)


def _masked(config: EncoderConfig, attention_mask: Array, shape: tuple[int, int]) -> Padded:
    if attention_mask.ndim == 4:
        return Padded(pairs=_pair_mask(config, attention_mask, shape))
    calls.refuse_mask(attention_mask.shape, shape)
    if np.issubdtype(attention_mask.dtype, np.complexfloating):
        raise calls.no_mask(str(attention_mask.dtype))
    if not is_at_hand(attention_mask):
        return Padded(attention_mask != 0)
    numbers = np.asarray(attention_mask)
    if not ((numbers == 0) | (numbers == 1)).all():
        raise calls.other_mask_values(float(np.abs(numbers).max()), shape)
    return Padded(numbers != 0)


def _read_packed(config: EncoderConfig, given: PackedBatch) -> Batch:
    check_ids(config, given.input_ids, where=partial(calls.place_in_pack, given))
    _check_positions(config, given.position_ids)
    lengths = np.array(given.lengths)
    starts_K = given.order[np.cumsum(lengths) - lengths]
    ids, positions, segments, starts = (
        array.astype(np.int32) for array in (given.input_ids, given.position_ids, given.segment_ids, starts_K)
    )
    return Batch(Packed(segments, starts), ids, None, positions)


def refuse_others(**given: Any) -> None:
    """Refuse what is given and no array.

    Raises:
        DataError: lists, or a whole encoding.
    """
    for name, value in given.items():
        if value is not None and not isinstance(value, ARRAYS):
            remedy = "Call the tokenizer with return_tensors='np', or give numpy.array(rows)."
            calls.refuse_no_array(name, value, wanted="an array of JAX or numpy", remedy=remedy)


def check_head_mask(config: EncoderConfig, head_mask: Array | None) -> None:
    """Refuse what is no head mask [N] or [L, N].

    Raises:
        DataError: it is none.
    """
    if head_mask is not None:
        refuse_others(head_mask=head_mask)
        real = not np.issubdtype(head_mask.dtype, np.complexfloating)
        calls.refuse_head_mask(config, str(head_mask.dtype), head_mask.shape, real=real)


def _shape(config: EncoderConfig, input_ids: Array | None, inputs_embeds: Array | None) -> tuple[int, int]:
    if input_ids is not None:
        calls.refuse_ids(str(input_ids.dtype), input_ids.shape, whole=is_whole(input_ids), tensors="np")
        rows, length = input_ids.shape
        return rows, length
    assert inputs_embeds is not None
    floating = is_floating(inputs_embeds)
    calls.refuse_embeds(config, str(inputs_embeds.dtype), inputs_embeds.shape, floating=floating)
    rows, length, _ = inputs_embeds.shape
    return rows, length


def check_ids(
    config: EncoderConfig, input_ids: Array, *, where: Callable[[list[int]], str] = calls.place_in_batch
) -> None:
    """Refuse ids outside the vocabulary, where they can be seen, by where they stand in what was given.

    Raises:
        DataError: there is one.
    """
    if has_values(input_ids):
        numbers = np.asarray(input_ids)
        wrong = (numbers < 0) | (numbers >= config.vocab_size)
        if wrong.any():
            place = np.argwhere(wrong)[0].tolist()
            raise calls.unknown_id(config, int(numbers[tuple(place)]), where(place))


def _positions(config: EncoderConfig, position_ids: Array, shape: tuple[int, int]) -> Array:
    whole = is_whole(position_ids)
    calls.refuse_position_ids(str(position_ids.dtype), position_ids.shape, shape, whole=whole)
    _check_positions(config, position_ids)
    spread = np if isinstance(position_ids, np.ndarray) else jnp
    return spread.broadcast_to(position_ids, shape)


def _check_positions(config: EncoderConfig, position_ids: Array) -> None:
    if position_ids.size and has_values(position_ids):
        numbers = np.asarray(position_ids)
        calls.refuse_positions(config, int(numbers.min()), int(numbers.max()))


def _token_types(config: EncoderConfig, token_type_ids: Array | None, shape: tuple[int, int]) -> Array | None:
    if token_type_ids is None:
        return None
    whole = is_whole(token_type_ids)
    calls.refuse_token_type_ids(str(token_type_ids.dtype), token_type_ids.shape, shape, whole=whole)
    if token_type_ids.size and has_values(token_type_ids):
        numbers = np.asarray(token_type_ids)
        calls.refuse_token_types(config, int(numbers.min()), int(numbers.max()))
    if isinstance(config, BertConfig):
        spread = np if isinstance(token_type_ids, np.ndarray) else jnp
        return spread.broadcast_to(token_type_ids, shape)
    if not is_recording(token_type_ids):
        _warn_of_token_types()
    return None


def _warn_of_token_types() -> None:
    global _has_warned  # noqa: PLW0603  # once a process, as a tokenizer gives them with every batch
    if not _has_warned:
        _has_warned = True
        logger.warning(calls.TOKEN_TYPES_LEFT_OUT)


_has_warned = False


def _pair_mask(config: EncoderConfig, mask: Array, shape: tuple[int, int]) -> Array:
    """A caller's mask for each pair of tokens, with no row under which every column is hidden."""
    calls.refuse_pair_mask(config, mask.shape, shape)
    if is_floating(mask):
        hidden = mask <= jnp.finfo(mask.dtype).min / 2
        return jnp.where(hidden.all(axis=-1, keepdims=True), 0.0, jnp.asarray(mask))
    if mask.dtype != np.bool_:
        raise calls.no_pair_mask(str(mask.dtype), mask.shape, cast="mask.astype(bool)")
    return mask | ~mask.any(axis=-1, keepdims=True)
