"""What a call may give a model, and the sentence for each thing that does not fit.

A wing looks at its own arrays and says here what it found: shapes, and types by their names. So every wing
refuses the same things in the same words.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.core.data.packing import PackedBatch
from distilbert.errors import ConfigError, DataError

Shape = tuple[int, ...]

#: What is said once a process where a DistilBERT is given token types, all of them 0.
TOKEN_TYPES_LEFT_OUT = (
    "A DistilBERT has no token types; token_type_ids, all 0, are left out. "
    "A tokenizer gives none with return_token_type_ids=False."
)


def refuse_no_array(name: str, value: Any, *, wanted: str, remedy: str) -> None:
    """Refuse what is given in the place of an array: lists, or a whole encoding.

    Args:
        name: of the argument.
        value: what it is.
        wanted: what it must be, as "a tensor".
        remedy: where it can be had.
    """
    encoding = hasattr(value, "keys")
    raise DataError(
        f"{name} must be {wanted}.",
        received=f"a {type(value).__name__}",
        remedy="Give what a tokenizer gave as model(**encoding)." if encoding else remedy,
    )


def refuse_both_or_neither(input_ids: Any, inputs_embeds: Any) -> None:
    if (input_ids is None) == (inputs_embeds is None):
        raise DataError(
            "A model reads either input_ids or inputs_embeds.",
            received="neither" if input_ids is None else "both",
            remedy="Give exactly one of them.",
        )


def refuse_ids(kind: str, shape: Shape, *, whole: bool, tensors: str) -> None:
    """Refuse ids that are not rows of whole numbers; ``tensors`` is what a tokenizer is to return."""
    if len(shape) != 2 or not whole:
        raise DataError(
            "input_ids must be whole numbers [B, S].",
            received=f"{kind} {list(shape)}",
            remedy=f"Give a batch of rows, as a tokenizer does with return_tensors='{tensors}'.",
        )


def refuse_embeds(config: EncoderConfig, kind: str, shape: Shape, *, floating: bool) -> None:
    if len(shape) != 3 or shape[-1] != config.dim or not floating:
        raise DataError(
            f"inputs_embeds must be states of the model's width, [B, S, {config.dim}].",
            received=f"{kind} {list(shape)}",
            remedy="Take them from model.get_input_embeddings().",
        )


def refuse_empty(shape: Shape) -> None:
    if shape[1] == 0:
        raise DataError(
            "A text has at least one token.",
            received=f"a batch {list(shape)}",
            remedy="Leave the special tokens in: add_special_tokens=True in the tokenizer's call.",
        )


def refuse_longer(config: EncoderConfig, length: int) -> None:
    positions = config.max_position_embeddings
    if length > positions:
        raise DataError(
            "A text must not be longer than the model's position table.",
            received=f"{length} tokens, with {positions} positions",
            remedy=f"Cut the text (truncation=True, max_length={positions}), split it into windows "
            "(stride=), or give the model more positions and train them: "
            f"model.resize_position_embeddings({length}).",
        )


def unknown_id(config: EncoderConfig, number: int, where: str) -> DataError:
    return DataError(
        f"Every id must be in the vocabulary, 0 to {config.vocab_size - 1}.",
        received=f"the id {number} in {where}",
        remedy="Use the tokenizer that was saved with the model; after adding tokens to it, "
        "model.resize_token_embeddings(len(tokenizer)).",
    )


def place_in_batch(place: Sequence[int]) -> str:
    """Where something stands in a batch of rows, or of choices."""
    names = ("row", "column") if len(place) == 2 else ("row", "choice", "column")
    return ", ".join(f"{name} {i}" for name, i in zip(names, place, strict=True))


def place_in_pack(given: PackedBatch, place: Sequence[int]) -> str:
    """Where something stands in a packed batch."""
    text = int(given.segment_ids[tuple(place)])
    row, column = place
    before = np.count_nonzero(given.segment_ids[row, :column] == text)
    return f"text {text - 1}, token {before}" if text else f"the padding of row {row}, column {column}"


def refuse_position_ids(kind: str, given: Shape, shape: Shape, *, whole: bool) -> None:
    if given not in (shape, (1, shape[1]), (shape[1],)) or not whole:
        raise DataError(
            "position_ids must be whole numbers of the shape of the batch, or of one of its rows.",
            received=f"{kind} {list(given)} for a batch {list(shape)}",
            remedy="Give one number a token.",
        )


def refuse_positions(config: EncoderConfig, low: int, high: int) -> None:
    """Refuse positions that the table has no row for, by the least and the greatest of them."""
    if low < 0:
        raise DataError(
            "Positions count from 0.", received=f"the position {low}", remedy="Correct position_ids."
        )
    refuse_longer(config, high + 1)


def refuse_token_type_ids(kind: str, given: Shape, shape: Shape, *, whole: bool) -> None:
    if given not in (shape, (1, shape[1])) or not whole:
        raise DataError(
            "token_type_ids must be whole numbers of the shape of the batch.",
            received=f"{kind} {list(given)} for a batch {list(shape)}",
            remedy="Give one number a token, or leave them out.",
        )


def refuse_token_types(config: EncoderConfig, low: int, high: int) -> None:
    """Refuse token types that the model does not have, by the least and the greatest of them."""
    types = config.type_vocab_size if isinstance(config, BertConfig) else 1
    if low < 0 or high >= types:
        raise DataError(
            f"Token types are from 0 to {types - 1}." if types > 1 else "A DistilBERT has no token types.",
            received=f"token_type_ids with {low if low < 0 else high}",
            remedy="Leave them out: return_token_type_ids=False in the tokenizer's call.",
        )


def refuse_mask(given: Shape, shape: Shape) -> None:
    if given != shape:
        raise DataError(
            "attention_mask must have the shape of the batch.",
            received=f"attention_mask {list(given)} for a batch {list(shape)}",
            remedy="Give one number a token: 1 for live ones, 0 for padding; or a mask for each pair of "
            f"tokens, {[shape[0], 1, shape[1], shape[1]]}.",
        )


def no_mask(kind: str) -> DataError:
    return DataError(
        "attention_mask holds 1 for live tokens and 0 for padding.",
        received=kind,
        remedy="Give whole numbers or booleans.",
    )


def other_mask_values(largest: float, shape: Shape) -> DataError:
    return DataError(
        "attention_mask holds 1 for live tokens and 0 for padding.",
        received=f"others, up to {largest:g} in size",
        remedy="Numbers that are added to the scores are given for each pair of tokens: "
        f"{[shape[0], 1, shape[1], shape[1]]}.",
    )


def refuse_pair_mask(config: EncoderConfig, given: Shape, shape: Shape) -> None:
    batch, heads, queries, keys = given
    fits = batch in (1, shape[0]) and heads in (1, config.n_heads)
    if not fits or queries not in (1, shape[1]) or keys != shape[1]:
        raise DataError(
            "A mask for each pair of tokens must have the shape [B, 1 or N, S, S].",
            received=f"attention_mask {list(given)} for a batch {list(shape)}",
            remedy="Give booleans, True where a token may attend, or numbers to add to the scores.",
        )


def no_pair_mask(kind: str, given: Shape, *, cast: str) -> DataError:
    return DataError(
        "A mask for each pair of tokens holds booleans, or numbers to add to the scores.",
        received=f"{kind} {list(given)}",
        remedy=f"Give {cast} where 1 means that a token may attend.",
    )


def refuse_beside_packed(others: Sequence[Any], *, weights: bool) -> None:
    if weights or any(other is not None for other in others):
        raise DataError(
            "A packed batch says all of its texts itself, and has no attention weights to show.",
            received="output_attentions=True" if weights else "further inputs beside it",
            remedy="Give padded rows for that.",
        )


def refuse_head_mask(config: EncoderConfig, kind: str, given: Shape, *, real: bool) -> None:
    layers, heads = config.n_layers, config.n_heads
    if given not in ((layers, heads), (heads,)):
        raise DataError(
            "head_mask must have one number a head, or one a layer and head.",
            received=f"head_mask {list(given)} for {layers} layers of {heads} heads",
            remedy=f"Give it the shape [{heads}] or [{layers}, {heads}].",
        )
    if not real:
        raise DataError(
            "head_mask holds real numbers.",
            received=kind,
            remedy="Give 1 for a head that is heard and 0 for one that is not.",
        )


def refuse_wider(kind: str, own: str, *, wider: bool, cast: str) -> None:
    if wider:
        raise DataError(
            f"inputs_embeds must be of the model's type, {own}.",
            received=kind,
            remedy=f"Give {cast}.",
        )


def refuse_choices(shape: Shape | None, *, axes: int) -> None:
    """Refuse a batch, where there is one, that is not of questions with choices."""
    if shape is not None and len(shape) != axes:
        raise DataError(
            "A multiple choice is read as [B, choices, S].",
            received=f"a batch {list(shape)}",
            remedy="Give each question its choices as rows: tensor[None] for a single question.",
        )
    if shape is not None and shape[1] == 0:
        raise DataError(
            "A question has at least one choice.",
            received=f"a batch {list(shape)}",
            remedy="Leave out questions without any.",
        )


def refuse_limits(config: EncoderConfig) -> None:
    """Refuse a configuration of other than two labels for an answer's two limits."""
    if config.num_labels != 2:
        raise ConfigError(
            "An answer has two limits: num_labels must be 2.",
            received=f"num_labels={config.num_labels}",
            remedy="Leave num_labels, id2label and label2id out.",
        )
