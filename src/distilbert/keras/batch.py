"""What a call gives a model, checked and laid out: the model's edge."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras import ops

from distilbert.core import calls
from distilbert.core.calls import Shape
from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.keras.layout import Layout, Padded
from distilbert.keras.modules import Tensor
from distilbert.keras.recording import (
    has_values,
    is_array,
    is_floating,
    is_real,
    is_recording,
    is_whole,
    kind,
    numbers,
    shape_of,
)

logger = logging.getLogger(__name__)

#: What says which tokens there are, of a call's arguments.
INPUTS = ("input_ids", "attention_mask", "inputs_embeds", "position_ids", "token_type_ids")


@dataclass(frozen=True, eq=False)
class Batch:
    """Tokens and how they lie.

    Attributes:
        layout: padded rows; the other arrays lie so.
        input_ids: [B, S], or None with ``inputs_embeds``.
        inputs_embeds: [B, S, D], or None.
        position_ids: [B, S] or [S]; None counts the columns from 0.
        token_type_ids: [B, S], of a BERT; None means all 0.
        first_only: of each row only the first token's last state is read.
        choices: of a multiple choice, how many rows one question has.
    """

    layout: Layout
    input_ids: Tensor | None = None
    inputs_embeds: Tensor | None = None
    position_ids: Tensor | None = None
    token_type_ids: Tensor | None = None
    first_only: bool = False
    choices: Any = None


def read(config: EncoderConfig, inputs: Mapping[str, Any], *, first_only: bool = False) -> Batch:
    """Lay the tokens out that a call has been given, once they are checked."""
    ids, mask, states, positions, types = (inputs.get(name) for name in INPUTS)
    layout = Padded()
    if mask is not None and len(mask.shape) == 4:
        layout = Padded(pairs=_pair_mask(ops.convert_to_tensor(mask)))
    elif mask is not None:
        layout = Padded(ops.not_equal(mask, 0) if kind(mask) != "bool" else ops.convert_to_tensor(mask))
    ids, states, positions, types = (
        None if x is None else ops.convert_to_tensor(x) for x in (ids, states, positions, types)
    )
    return Batch(layout, ids, states, positions, types, first_only)


def check(config: EncoderConfig, inputs: Mapping[str, Any], *, own: str = "float32") -> Shape:
    """Check a call's inputs against the model; the shape of the batch, [B, S], None where it is not known.

    Values are checked where they are at hand: not on another device, for which each check would wait, nor
    while a graph is made of the call. So are shapes.

    Args:
        config: the model's.
        inputs: by name, those of ``INPUTS`` that are given.
        own: the type that the model keeps its parameters in.

    Raises:
        DataError: shapes, types or values that do not fit the model.
    """
    ids, mask, states, positions, types = (inputs.get(name) for name in INPUTS)
    refuse_others(**{name: inputs.get(name) for name in INPUTS})
    calls.refuse_both_or_neither(ids, states)
    shape = _shape(config, ids, states, own)
    calls.refuse_empty(shape)
    if positions is not None:
        _check_positions(config, positions, shape)
    elif shape[1] is not None:
        calls.refuse_longer(config, shape[1])
    if ids is not None:
        check_ids(config, ids)
    _check_token_types(config, types, shape)
    if mask is not None:
        _check_mask(config, mask, shape)
    return shape


def refuse_others(**given: Any) -> None:
    """Refuse what is given and no array.

    Raises:
        DataError: lists, or a whole encoding.
    """
    for name, value in given.items():
        if value is not None and not is_array(value):
            remedy = "Call the tokenizer with return_tensors='np' or 'tf', or give numpy.array(rows)."
            calls.refuse_no_array(name, value, wanted="a tensor or an array of numpy", remedy=remedy)


def agreed(given: Shape, shape: Shape) -> tuple[Shape, Shape]:
    """Two shapes, each with the other's lengths where its own are not known yet."""
    if len(given) != len(shape):
        return given, shape
    pairs = list(zip(given, shape, strict=True))
    return tuple(b if a is None else a for a, b in pairs), tuple(a if b is None else b for a, b in pairs)


def check_head_mask(config: EncoderConfig, head_mask: Any) -> None:
    """Refuse what is no head mask [N] or [L, N].

    Raises:
        DataError: it is none.
    """
    if head_mask is not None:
        refuse_others(head_mask=head_mask)
        calls.refuse_head_mask(config, kind(head_mask), shape_of(head_mask), real=is_real(head_mask))


def check_ids(config: EncoderConfig, input_ids: Any) -> None:
    """Refuse ids outside the vocabulary, where they can be seen, by where they stand in what was given.

    Raises:
        DataError: there is one.
    """
    if has_values(input_ids):
        found = numbers(input_ids)
        wrong = (found < 0) | (found >= config.vocab_size)
        if wrong.any():
            place = np.argwhere(wrong)[0].tolist()
            raise calls.unknown_id(config, int(found[tuple(place)]), calls.place_in_batch(place))


def _shape(config: EncoderConfig, input_ids: Any, inputs_embeds: Any, own: str) -> Shape:
    if input_ids is not None:
        shape = shape_of(input_ids)
        calls.refuse_ids(kind(input_ids), shape, whole=is_whole(input_ids), tensors="tf")
        return shape
    shape, called = shape_of(inputs_embeds), kind(inputs_embeds)
    calls.refuse_embeds(config, called, shape, floating=is_floating(inputs_embeds))
    wider = keras.backend.result_type(called, own) != own
    calls.refuse_wider(called, own, wider=wider, cast="keras.ops.cast(inputs_embeds, model.compute_dtype)")
    return shape[:2]


def _check_mask(config: EncoderConfig, mask: Any, shape: Shape) -> None:
    given = shape_of(mask)
    if len(given) == 4:
        calls.refuse_pair_mask(config, agreed(given, (shape[0], given[1], given[2], shape[1]))[0], shape)
        if not is_floating(mask) and kind(mask) != "bool":
            raise calls.no_pair_mask(kind(mask), given, cast="mask.astype(bool)")
        return
    calls.refuse_mask(*agreed(given, shape))
    if not is_real(mask):
        raise calls.no_mask(kind(mask))
    if has_values(mask):
        found = numbers(mask)
        if not ((found == 0) | (found == 1)).all():
            raise calls.other_mask_values(float(np.abs(found).max()), shape)


def _check_positions(config: EncoderConfig, position_ids: Any, shape: Shape) -> None:
    given = shape_of(position_ids)
    if len(given) == 1:
        given, wanted = agreed(given, shape[1:])
        wanted = (shape[0], *wanted)
    else:
        given, wanted = agreed(given, shape)
    calls.refuse_position_ids(kind(position_ids), given, wanted, whole=is_whole(position_ids))
    if has_values(position_ids) and numbers(position_ids).size:
        found = numbers(position_ids)
        calls.refuse_positions(config, int(found.min()), int(found.max()))


def _check_token_types(config: EncoderConfig, token_type_ids: Any, shape: Shape) -> None:
    if token_type_ids is None:
        return
    whole = is_whole(token_type_ids)
    given, wanted = agreed(shape_of(token_type_ids), shape)
    calls.refuse_token_type_ids(kind(token_type_ids), given, wanted, whole=whole)
    if has_values(token_type_ids) and numbers(token_type_ids).size:
        found = numbers(token_type_ids)
        calls.refuse_token_types(config, int(found.min()), int(found.max()))
    if not isinstance(config, BertConfig) and not is_recording(token_type_ids):
        _warn_of_token_types()


def _warn_of_token_types() -> None:
    global _has_warned  # noqa: PLW0603  # once a process, as a tokenizer gives them with every batch
    if not _has_warned:
        _has_warned = True
        logger.warning(calls.TOKEN_TYPES_LEFT_OUT)


_has_warned = False


def _pair_mask(mask: Any) -> Tensor:
    """A caller's mask for each pair of tokens, with no row under which every column is hidden."""
    if is_floating(mask):
        lowest = ops.cast(float(ml_dtypes.finfo(kind(mask)).min) / 2, mask.dtype)
        hidden = ops.all(ops.less_equal(mask, lowest), axis=-1, keepdims=True)
        return ops.where(hidden, ops.cast(0.0, mask.dtype), mask)
    return ops.logical_or(mask, ops.logical_not(ops.any(mask, axis=-1, keepdims=True)))
