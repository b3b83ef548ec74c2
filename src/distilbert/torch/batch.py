"""What a call gives a model, checked and laid out: the model's edge, where padding goes out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from distilbert.core import calls
from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.core.data.packing import PackedBatch
from distilbert.errors import DataError
from distilbert.torch.layout import Layout, Packed, Padded
from distilbert.torch.recording import is_recording, sizes

logger = logging.getLogger(__name__)

#: What an embedding takes.
_INTEGERS = (torch.int64, torch.int32)


@dataclass(frozen=True, eq=False)
class Batch:
    """Tokens and how they lie. A model with a head makes one for its encoder.

    Attributes:
        layout: padded rows or texts end to end; the other arrays lie so.
        input_ids: [B, S] or [T], or None with ``inputs_embeds``.
        inputs_embeds: [B, S, D] or [T, D], or None.
        position_ids: [B, S] or [T]; None counts the columns from 0.
        token_type_ids: [B, S] or [T], for a BERT; None is type 0.
        first_only: of each text only the first token's last state is read.
    """

    layout: Layout
    input_ids: Tensor | None = None
    inputs_embeds: Tensor | None = None
    position_ids: Tensor | None = None
    token_type_ids: Tensor | None = None
    first_only: bool = False


@dataclass(frozen=True)
class Reading:
    """How a model reads what it is given.

    Attributes:
        packing: take padding out.
        pair_masks: its attention takes a mask for each pair of tokens.
        weights: its attention weights are asked for, so the rows stay padded.
        first_only: see ``Batch``.
    """

    packing: bool = True
    pair_masks: bool = True
    weights: bool = False
    first_only: bool = False


def read(
    config: EncoderConfig,
    reading: Reading,
    *,
    input_ids: Tensor | PackedBatch | None,
    attention_mask: Tensor | None = None,
    inputs_embeds: Tensor | None = None,
    position_ids: Tensor | None = None,
    token_type_ids: Tensor | None = None,
    device: torch.device,
) -> Batch:
    """Check a call's arguments against the model, and lay the tokens out.

    Values are checked on a CPU only: on a GPU each check would wait for the device, whose kernels check
    them too. Neither is any value looked at while a graph is recorded.

    Raises:
        DataError: shapes, types or values that do not fit the model.
    """
    if isinstance(input_ids, PackedBatch):
        others = (attention_mask, inputs_embeds, position_ids, token_type_ids)
        return _read_packed(config, reading, input_ids, others, device)
    refuse_others(
        input_ids=input_ids,
        attention_mask=attention_mask,
        inputs_embeds=inputs_embeds,
        position_ids=position_ids,
        token_type_ids=token_type_ids,
    )
    calls.refuse_both_or_neither(input_ids, inputs_embeds)
    shape = _shape(config, input_ids, inputs_embeds)
    given = input_ids if input_ids is not None else inputs_embeds
    assert given is not None
    recording = is_recording()
    if not recording:
        calls.refuse_empty(shape)
    if position_ids is None:
        if not recording:
            calls.refuse_longer(config, shape[1])
    else:
        position_ids = _positions(config, position_ids, shape, checked=not recording)
    if input_ids is not None and has_values(input_ids):
        check_ids(config, input_ids)
    token_type_ids = _token_types(config, token_type_ids, shape)
    batch = Batch(
        Padded(), input_ids, inputs_embeds, position_ids, token_type_ids, first_only=reading.first_only
    )
    return batch if attention_mask is None else _masked(config, batch, attention_mask, given, reading)


def _masked(
    config: EncoderConfig, batch: Batch, attention_mask: Tensor, given: Tensor, reading: Reading
) -> Batch:
    shape = sizes(given)[:2]
    if attention_mask.dim() == 4:
        return replace(batch, layout=Padded(columns=_pair_mask(config, attention_mask, shape, reading)))
    calls.refuse_mask(sizes(attention_mask), shape)
    if attention_mask.is_complex():
        raise calls.no_mask(_type(attention_mask))
    if has_values(attention_mask) and not bool(((attention_mask == 0) | (attention_mask == 1)).all()):
        raise calls.other_mask_values(float(attention_mask.abs().max()), shape)
    live_BS = attention_mask != 0
    if is_recording() or given.device.type == "meta":
        return replace(batch, layout=Padded(live_BS))
    lengths = live_BS.sum(dim=1).tolist()
    if min(lengths, default=0) == shape[1]:
        return batch
    if not any(lengths):
        # Nothing of it is shown, so that no kernel needs to know what is padding.
        unmasked = Padded(live_BS)
        unmasked.columns = None
        return replace(batch, layout=unmasked)
    if not reading.packing or reading.weights:
        return replace(batch, layout=Padded(live_BS))
    layout, columns_T = Packed.of_rows(live_BS, lengths)

    def packed(x: Tensor | None) -> Tensor | None:
        return None if x is None else layout.gather(x)

    return Batch(
        layout,
        packed(batch.input_ids),
        packed(batch.inputs_embeds),
        columns_T if batch.position_ids is None else packed(batch.position_ids),
        packed(batch.token_type_ids),
        first_only=batch.first_only,
    )


def _read_packed(
    config: EncoderConfig, reading: Reading, given: PackedBatch, others: tuple[Any, ...], device: torch.device
) -> Batch:
    if is_recording():
        raise DataError(
            "A packed batch is computed as it comes: every number of texts would be another graph.",
            received="one in a call that is compiled, exported or traced",
            remedy="Give padded rows, or leave the model uncompiled.",
        )
    calls.refuse_beside_packed(others, weights=reading.weights)
    lengths, order = given.lengths, given.order
    layout = Packed.of_texts(lengths, device)

    def laid_out(rows: Any) -> Tensor:
        return layout.gather(torch.from_numpy(rows.ravel()[order]).to(device))

    input_ids, position_ids = torch.from_numpy(given.input_ids), torch.from_numpy(given.position_ids)
    check_ids(config, input_ids, where=partial(calls.place_in_pack, given))
    _check_positions(config, position_ids)
    return Batch(
        layout,
        laid_out(given.input_ids),
        None,
        laid_out(given.position_ids),
        first_only=reading.first_only,
    )


def refuse_others(**given: Any) -> None:
    """Refuse what is given and no tensor.

    Raises:
        DataError: lists, arrays, or a whole encoding.
    """
    for name, value in given.items():
        if value is not None and not isinstance(value, Tensor):
            remedy = "Call the tokenizer with return_tensors='pt', or give torch.tensor(rows)."
            calls.refuse_no_array(name, value, wanted="a tensor", remedy=remedy)


def _shape(config: EncoderConfig, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> tuple[int, int]:
    if input_ids is not None:
        shape = sizes(input_ids)
        calls.refuse_ids(_type(input_ids), shape, whole=input_ids.dtype in _INTEGERS, tensors="pt")
        rows, length = shape
        return rows, length
    assert inputs_embeds is not None
    shape = sizes(inputs_embeds)
    calls.refuse_embeds(config, _type(inputs_embeds), shape, floating=inputs_embeds.is_floating_point())
    rows, length, _ = shape
    return rows, length


def check_ids(
    config: EncoderConfig, input_ids: Tensor, *, where: Callable[[list[int]], str] = calls.place_in_batch
) -> None:
    """Refuse ids outside the vocabulary, by where they stand in what the caller gave.

    Raises:
        DataError: there is one.
    """
    wrong = (input_ids < 0) | (input_ids >= config.vocab_size)
    if bool(wrong.any()):
        place = wrong.nonzero()[0].tolist()
        raise calls.unknown_id(config, int(input_ids[tuple(place)]), where(place))


def _positions(
    config: EncoderConfig, position_ids: Tensor, shape: tuple[int, int], *, checked: bool
) -> Tensor:
    whole = position_ids.dtype in _INTEGERS
    calls.refuse_position_ids(_type(position_ids), sizes(position_ids), shape, whole=whole)
    if checked and has_values(position_ids):
        _check_positions(config, position_ids)
    return position_ids.expand(shape)


def _check_positions(config: EncoderConfig, position_ids: Tensor) -> None:
    if position_ids.numel():
        calls.refuse_positions(config, int(position_ids.min()), int(position_ids.max()))


def _token_types(
    config: EncoderConfig, token_type_ids: Tensor | None, shape: tuple[int, int]
) -> Tensor | None:
    if token_type_ids is None:
        return None
    whole = token_type_ids.dtype in _INTEGERS
    calls.refuse_token_type_ids(_type(token_type_ids), sizes(token_type_ids), shape, whole=whole)
    if has_values(token_type_ids) and token_type_ids.numel():
        calls.refuse_token_types(config, int(token_type_ids.min()), int(token_type_ids.max()))
    if isinstance(config, BertConfig):
        return token_type_ids.expand(shape)
    _warn_of_token_types()
    return None


def _warn_of_token_types() -> None:
    global _has_warned  # noqa: PLW0603  # once a process, as a tokenizer gives them with every batch
    if not is_recording() and not _has_warned:  # in this order, as a graph is made anew when it has
        _has_warned = True
        logger.warning(calls.TOKEN_TYPES_LEFT_OUT)


_has_warned = False


def _pair_mask(config: EncoderConfig, mask: Tensor, shape: tuple[int, ...], reading: Reading) -> Tensor:
    """A caller's mask for each pair of tokens, with no row under which every column is hidden."""
    if not reading.pair_masks:
        raise DataError(
            "This attention takes one number a token, not a mask for each pair of them.",
            received=f"attention_mask {list(mask.shape)}",
            remedy="Choose sdpa or eager: model.set_attention('sdpa').",
        )
    calls.refuse_pair_mask(config, sizes(mask), shape)
    if mask.is_floating_point():
        hidden = mask <= torch.finfo(mask.dtype).min / 2
        return mask.masked_fill(hidden.all(dim=-1, keepdim=True), 0.0)
    if mask.dtype != torch.bool:
        raise calls.no_pair_mask(_type(mask), sizes(mask), cast="mask.bool()")
    return mask | ~mask.any(dim=-1, keepdim=True)


def has_values(x: Tensor) -> bool:
    return x.device.type == "cpu" and not is_recording()


def _type(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
