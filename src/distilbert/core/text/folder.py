"""A tokenizer's files in a model folder: the constructor's arguments from them, and they from a tokenizer."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilbert.core.files import (
    ADDED_TOKENS_FILE,
    SPECIAL_TOKENS_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    VOCAB_FILE,
    read_json,
)
from distilbert.core.text.added import AddedToken
from distilbert.core.text.pipeline import Pipeline
from distilbert.core.text.special import SPECIAL_TOKENS
from distilbert.errors import CheckpointError

#: What a ``tokenizer_config.json`` says that the constructor takes as it is.
_SETTINGS = (
    "do_lower_case", "do_basic_tokenize", "never_split", "tokenize_chinese_chars", "strip_accents",
    "clean_up_tokenization_spaces", "clean_text", "wordpieces_prefix", "split_special_tokens",
    "model_max_length", "padding_side", "truncation_side", "model_input_names",
)  # fmt: skip


def read_arguments(folder: Path, *, fast: bool) -> dict[str, Any]:
    """The arguments of a tokenizer's constructor that a folder's files come to.

    Args:
        folder: or a vocabulary's file alone.
        fast: for the fast tokenizer, which alone has no words that are never split.

    Raises:
        CheckpointError: the folder has no vocabulary, or files that cannot be read.
    """
    if folder.is_file():
        return {"tokenizer_file" if folder.suffix == ".json" else "vocab_file": folder}
    settings = read_json(folder / TOKENIZER_CONFIG_FILE, missing_is_empty=True)
    arguments = {name: settings[name] for name in _SETTINGS if settings.get(name) is not None}
    if fast and not arguments.get("never_split"):
        arguments.pop("never_split", None)
    by_id = settings.get("added_tokens_decoder") or {}
    named = dict(settings)
    if not by_id:
        # Folders from before the flags were written there have files of their own for them.
        named.update(read_json(folder / SPECIAL_TOKENS_FILE, missing_is_empty=True))
        plain = read_json(folder / ADDED_TOKENS_FILE, missing_is_empty=True)
        by_id = {number: token for token, number in plain.items()}
    try:
        added = {
            int(number): token if isinstance(token, str) else AddedToken.read(token)
            for number, token in by_id.items()
        }
        flagged = {token.content: token for token in added.values() if isinstance(token, AddedToken)}
        more = named.get("additional_special_tokens") or named.get("extra_special_tokens") or ()
        more = list(more.values()) if isinstance(more, Mapping) else more
        arguments |= {name: _special(named[name], flagged) for name in SPECIAL_TOKENS if named.get(name)}
        arguments["additional_special_tokens"] = [_special(token, flagged) for token in more]
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{TOKENIZER_CONFIG_FILE} must name tokens by their ids.",
            received=f"{error} in {folder}",
            remedy="Restore the file.",
        ) from None
    arguments["added_tokens_decoder"] = added
    for name, argument in ((TOKENIZER_FILE, "tokenizer_file"), (VOCAB_FILE, "vocab_file")):
        if (folder / name).is_file():
            return {argument: folder / name, **arguments}
    raise CheckpointError(
        f"A model folder must hold {TOKENIZER_FILE} or {VOCAB_FILE}.",
        received=f"{folder} without them",
        remedy="Copy them from the folder the model was made from.",
    )


def _special(given: Any, flagged: Mapping[str, AddedToken]) -> str | AddedToken:
    """A special token: as its id has it, else as it is named. A text alone says nothing of flags."""
    token = AddedToken.read(given, special=True)
    return flagged.get(token.content, given if isinstance(given, str) else token)


def tokenizer_content(
    pipeline: Pipeline, ids: Mapping[str, int], *, unknown: str, other_way: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A ``tokenizer.json`` without added tokens and without the frame of a row.

    Args:
        pipeline: the way from text to tokens.
        ids: of the vocabulary's tokens.
        unknown: the token for words that have no pieces.
        other_way: the parts of a file whose way is not BERT's.
    """
    model = {
        "type": "WordPiece",
        "unk_token": unknown,
        "continuing_subword_prefix": pipeline.wordpieces_prefix,
        "max_input_chars_per_word": pipeline.max_word_characters,
        "vocab": dict(ids),
    }
    way = other_way or pipeline.parts()
    parts = {name: way.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")}
    empty: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "post_processor": None,
    }
    return {**empty, **parts, "model": model}


def frame_content(cls: tuple[str, int], sep: tuple[str, int]) -> dict[str, Any]:
    """The part of a ``tokenizer.json`` that puts special tokens around one text or two."""

    def special(token: str, text: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": token, "type_id": text}}

    def sequence(name: str, text: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": text}}

    single = [special(cls[0], 0), sequence("A", 0), special(sep[0], 0)]
    tokens = {token: {"id": token, "ids": [number], "tokens": [token]} for token, number in (cls, sep)}
    pair = [*single, sequence("B", 1), special(sep[0], 1)]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


def without_gaps(ids: Mapping[str, int]) -> dict[str, int]:
    """The vocabulary in the order of its ids, a token of its own for each gap, so that others keep theirs."""
    tokens = {number: token for token, number in ids.items()}
    return {tokens.get(i, f"[unused_{i}]"): i for i in range(max(tokens) + 1)}


def vocabulary_lines(ids: Mapping[str, int]) -> bytes:
    """A ``vocab.txt``."""
    return "".join(f"{token}\n" for token in without_gaps(ids)).encode()


def json_text(content: Any) -> bytes:
    """JSON as the published files have it."""
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
