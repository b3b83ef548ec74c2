"""What a call gives a model, checked and laid out: the model's edge, where padding goes out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

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
    if (input_ids is None) == (inputs_embeds is None):
        raise DataError(
            "A model reads either input_ids or inputs_embeds.",
            received="neither" if input_ids is None else "both",
            remedy="Give exactly one of them.",
        )
    shape = _shape(config, input_ids, inputs_embeds)
    given = input_ids if input_ids is not None else inputs_embeds
    assert given is not None
    recording = is_recording()
    if not recording and shape[1] == 0:
        raise DataError(
            "A text has at least one token.",
            received=f"a batch {list(shape)}",
            remedy="Leave the special tokens in: add_special_tokens=True in the tokenizer's call.",
        )
    if position_ids is None:
        if not recording and shape[1] > config.max_position_embeddings:
            raise _too_long(config, shape[1])
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
    if sizes(attention_mask) != shape:
        raise DataError(
            "attention_mask must have the shape of the batch.",
            received=f"attention_mask {list(attention_mask.shape)} for a batch {list(shape)}",
            remedy="Give one number a token: 1 for live ones, 0 for padding; or a mask for each pair of "
            f"tokens, {[shape[0], 1, shape[1], shape[1]]}.",
        )
    if attention_mask.is_complex():
        raise DataError(
            "attention_mask holds 1 for live tokens and 0 for padding.",
            received=_type(attention_mask),
            remedy="Give whole numbers or booleans.",
        )
    if has_values(attention_mask) and not bool(((attention_mask == 0) | (attention_mask == 1)).all()):
        raise DataError(
            "attention_mask holds 1 for live tokens and 0 for padding.",
            received=f"others, up to {attention_mask.abs().max():g} in size",
            remedy="Numbers that are added to the scores are given for each pair of tokens: "
            f"{[shape[0], 1, shape[1], shape[1]]}.",
        )
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
    if reading.weights or any(other is not None for other in others):
        raise DataError(
            "A packed batch says all of its texts itself, and has no attention weights to show.",
            received="output_attentions=True" if reading.weights else "further inputs beside it",
            remedy="Give padded rows for that.",
        )
    lengths, order = given.lengths, given.order
    layout = Packed.of_texts(lengths, device)

    def laid_out(rows: Any) -> Tensor:
        return layout.gather(torch.from_numpy(rows.ravel()[order]).to(device))

    input_ids, position_ids = torch.from_numpy(given.input_ids), torch.from_numpy(given.position_ids)
    check_ids(config, input_ids, where=partial(_in_pack, given))
    _check_positions(config, position_ids)
    return Batch(
        layout,
        laid_out(given.input_ids),
        None,
        laid_out(given.position_ids),
        first_only=reading.first_only,
    )


def _in_pack(given: PackedBatch, place: list[int]) -> str:
    text = int(given.segment_ids[tuple(place)])
    row, column = place
    before = np.count_nonzero(given.segment_ids[row, :column] == text)
    return f"text {text - 1}, token {before}" if text else f"the padding of row {row}, column {column}"


def refuse_others(**given: Any) -> None:
    """Refuse what is given and no tensor.

    Raises:
        DataError: lists, arrays, or a whole encoding.
    """
    for name, value in given.items():
        if value is not None and not isinstance(value, Tensor):
            encoding = hasattr(value, "keys")
            raise DataError(
                f"{name} must be a tensor.",
                received=f"a {type(value).__name__}",
                remedy="Give what a tokenizer gave as model(**encoding)."
                if encoding
                else "Call the tokenizer with return_tensors='pt', or give torch.tensor(rows).",
            )


def _shape(config: EncoderConfig, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> tuple[int, int]:
    if input_ids is not None:
        if input_ids.dim() != 2 or input_ids.dtype not in _INTEGERS:
            raise DataError(
                "input_ids must be whole numbers [B, S].",
                received=f"{_type(input_ids)} {list(input_ids.shape)}",
                remedy="Give a batch of rows, as a tokenizer does with return_tensors='pt'.",
            )
        rows, length = sizes(input_ids)
        return rows, length
    assert inputs_embeds is not None
    fits = inputs_embeds.dim() == 3 and sizes(inputs_embeds)[-1] == config.dim
    if not fits or not inputs_embeds.is_floating_point():
        raise DataError(
            f"inputs_embeds must be states of the model's width, [B, S, {config.dim}].",
            received=f"{_type(inputs_embeds)} {list(inputs_embeds.shape)}",
            remedy="Take them from model.get_input_embeddings().",
        )
    rows, length, _ = sizes(inputs_embeds)
    return rows, length


def check_ids(
    config: EncoderConfig, input_ids: Tensor, *, where: Callable[[list[int]], str] | None = None
) -> None:
    """Refuse ids outside the vocabulary, by where they stand in what the caller gave.

    Raises:
        DataError: there is one.
    """
    wrong = (input_ids < 0) | (input_ids >= config.vocab_size)
    if bool(wrong.any()):
        place = wrong.nonzero()[0].tolist()
        names = ("row", "column") if len(place) == 2 else ("row", "choice", "column")
        where = where or (lambda place: ", ".join(f"{n} {i}" for n, i in zip(names, place, strict=True)))
        raise DataError(
            f"Every id must be in the vocabulary, 0 to {config.vocab_size - 1}.",
            received=f"the id {int(input_ids[tuple(place)])} in {where(place)}",
            remedy="Use the tokenizer that was saved with the model; after adding tokens to it, "
            "model.resize_token_embeddings(len(tokenizer)).",
        )


def _positions(
    config: EncoderConfig, position_ids: Tensor, shape: tuple[int, int], *, checked: bool
) -> Tensor:
    fits = sizes(position_ids) in (shape, (1, shape[1]), (shape[1],))
    if not fits or position_ids.dtype not in _INTEGERS:
        raise DataError(
            "position_ids must be whole numbers of the shape of the batch, or of one of its rows.",
            received=f"{_type(position_ids)} {list(position_ids.shape)} for a batch {list(shape)}",
            remedy="Give one number a token.",
        )
    if checked and has_values(position_ids):
        _check_positions(config, position_ids)
    return position_ids.expand(shape)


def _check_positions(config: EncoderConfig, position_ids: Tensor) -> None:
    if position_ids.numel() and (
        int(position_ids.min()) < 0 or int(position_ids.max()) >= config.max_position_embeddings
    ):
        if int(position_ids.min()) >= 0:
            raise _too_long(config, int(position_ids.max()) + 1)
        raise DataError(
            "Positions count from 0.",
            received=f"the position {int(position_ids.min())}",
            remedy="Correct position_ids.",
        )


def _too_long(config: EncoderConfig, length: int) -> DataError:
    positions = config.max_position_embeddings
    return DataError(
        "A text must not be longer than the model's position table.",
        received=f"{length} tokens, with {positions} positions",
        remedy=f"Cut the text (truncation=True, max_length={positions}), split it into windows (stride=), or "
        f"give the model more positions and train them: model.resize_position_embeddings({length}).",
    )


def _token_types(
    config: EncoderConfig, token_type_ids: Tensor | None, shape: tuple[int, int]
) -> Tensor | None:
    if token_type_ids is None:
        return None
    if sizes(token_type_ids) not in (shape, (1, shape[1])) or token_type_ids.dtype not in _INTEGERS:
        raise DataError(
            "token_type_ids must be whole numbers of the shape of the batch.",
            received=f"{_type(token_type_ids)} {list(token_type_ids.shape)} for a batch {list(shape)}",
            remedy="Give one number a token, or leave them out.",
        )
    types = config.type_vocab_size if isinstance(config, BertConfig) else 1
    if has_values(token_type_ids) and token_type_ids.numel():
        low, high = int(token_type_ids.min()), int(token_type_ids.max())
        if low < 0 or high >= types:
            raise DataError(
                f"Token types are from 0 to {types - 1}."
                if types > 1
                else "A DistilBERT has no token types.",
                received=f"token_type_ids with {low if low < 0 else high}",
                remedy="Leave them out: return_token_type_ids=False in the tokenizer's call.",
            )
    if isinstance(config, BertConfig):
        return token_type_ids.expand(shape)
    _warn_of_token_types()
    return None


def _warn_of_token_types() -> None:
    global _has_warned  # noqa: PLW0603  # once a process, as a tokenizer gives them with every batch
    if not is_recording() and not _has_warned:  # in this order, as a graph is made anew when it has
        _has_warned = True
        logger.warning(
            "A DistilBERT has no token types; token_type_ids, all 0, are left out. "
            "A tokenizer gives none with return_token_type_ids=False."
        )


_has_warned = False


def _pair_mask(config: EncoderConfig, mask: Tensor, shape: tuple[int, ...], reading: Reading) -> Tensor:
    """A caller's mask for each pair of tokens, with no row under which every column is hidden."""
    if not reading.pair_masks:
        raise DataError(
            "This attention takes one number a token, not a mask for each pair of them.",
            received=f"attention_mask {list(mask.shape)}",
            remedy="Choose sdpa or eager: model.set_attention('sdpa').",
        )
    batch, heads, queries, keys = sizes(mask)
    fits = batch in (1, shape[0]) and heads in (1, config.n_heads)
    if not fits or queries not in (1, shape[1]) or keys != shape[1]:
        raise DataError(
            "A mask for each pair of tokens must have the shape [B, 1 or N, S, S].",
            received=f"attention_mask {list(mask.shape)} for a batch {list(shape)}",
            remedy="Give booleans, True where a token may attend, or numbers to add to the scores.",
        )
    if mask.is_floating_point():
        hidden = mask <= torch.finfo(mask.dtype).min / 2
        return mask.masked_fill(hidden.all(dim=-1, keepdim=True), 0.0)
    if mask.dtype != torch.bool:
        raise DataError(
            "A mask for each pair of tokens holds booleans, or numbers to add to the scores.",
            received=f"{_type(mask)} {list(mask.shape)}",
            remedy="Give mask.bool() where 1 means that a token may attend.",
        )
    return mask | ~mask.any(dim=-1, keepdim=True)


def has_values(x: Tensor) -> bool:
    return x.device.type == "cpu" and not is_recording()


def _type(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
