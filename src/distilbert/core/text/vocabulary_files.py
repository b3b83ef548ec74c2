"""A vocabulary from its files: ``vocab.txt``, or ``tokenizer.json``, which holds the way to it too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from distilbert.core.files import VOCAB_FILE, read_json
from distilbert.core.text.added import AddedToken
from distilbert.core.text.pipeline import Pipeline
from distilbert.core.text.vocabulary import MOST_GAPS
from distilbert.errors import CheckpointError, ConfigError

#: No vocabulary comes near this; a larger file is not one.
_MAX_VOCABULARY_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Source:
    """
    Attributes:
        ids: of the vocabulary's own tokens.
        added: beside them, by id.
        pipeline: the way from text to tokens, where the file states one that is BERT's.
        content: of the ``tokenizer.json`` whose way is another.
        frame: the special tokens before and after a text, where the file states them.
    """

    ids: dict[str, int]
    added: dict[int, AddedToken] = field(default_factory=dict)
    pipeline: Pipeline | None = None
    content: dict[str, Any] | None = None
    frame: tuple[str, str] | None = None


def read_vocabulary(
    vocab: str | Path | Mapping[str, int] | None, tokenizer_file: str | Path | None
) -> Source:
    """The vocabulary of a ``tokenizer.json`` where one is named, else of a ``vocab.txt`` or of a mapping.

    Raises:
        CheckpointError: a file that is missing or that is none of these.
        ConfigError: nothing was named.
    """
    if tokenizer_file is not None:
        return _of_tokenizer(Path(tokenizer_file))
    if isinstance(vocab, Mapping):
        return Source({str(token): int(number) for token, number in vocab.items()})
    if vocab is not None:
        return Source(_of_lines(Path(vocab)))
    raise ConfigError(
        "A tokenizer is read from a file.",
        received="neither vocab_file nor tokenizer_file",
        remedy="Name one of them, or use from_pretrained(folder).",
    )


def _of_lines(path: Path) -> dict[str, int]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_VOCABULARY_BYTES + 1)
        if len(content) > _MAX_VOCABULARY_BYTES:
            raise ValueError(f"more than {_MAX_VOCABULARY_BYTES} bytes")
        lines = content.decode().removesuffix("\n").split("\n")
    except (OSError, ValueError) as error:
        raise CheckpointError(
            "A vocabulary must be a readable UTF-8 file, one token a line.",
            received=f"{path}: {error}",
            remedy=f"Choose the {VOCAB_FILE} that the model was trained with.",
        ) from None
    if not any(lines):
        raise CheckpointError(
            "A vocabulary must hold tokens, one a line.",
            received=f"{path}, which is empty",
            remedy=f"Choose the {VOCAB_FILE} that the model was trained with.",
        )
    # Of a token that stands twice the later line counts, as everywhere.
    return {token.removesuffix("\r"): i for i, token in enumerate(lines)}


def _of_tokenizer(path: Path) -> Source:
    content = read_json(path)
    model = content.get("model")
    model = model if isinstance(model, dict) else {}
    ids, kind = model.get("vocab"), model.get("type", "WordPiece")
    if kind != "WordPiece" or not _is_vocabulary(ids):
        raise CheckpointError(
            f"{path.name} must hold a WordPiece vocabulary.",
            received=f"{path}, "
            + ("which holds none" if kind == "WordPiece" else f"a model of type {kind!r}"),
            remedy="Choose the folder of a BERT or a DistilBERT.",
        )
    added = content.get("added_tokens") or []
    try:
        tokens = {int(token["id"]): AddedToken.read(token) for token in added}
        pipeline = Pipeline.read(content)
        frame = _frame(content.get("post_processor"))
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError, IndexError):
        raise CheckpointError(
            f"{path.name} must be a whole tokenizer file, and frame texts as BERT does.",
            received=f"{path} with parts that are other",
            remedy=f"Restore it, or delete it where {VOCAB_FILE} stands beside it.",
        ) from None
    return Source(dict(ids), tokens, pipeline, None if pipeline else content, frame)


def _is_vocabulary(ids: object) -> TypeGuard[dict[str, int]]:
    """Whether tokens are numbered from 0 on, but for gaps that a file of lines can have too."""
    if not isinstance(ids, dict) or not ids or not all(type(number) is int for number in ids.values()):
        return False
    return min(ids.values()) >= 0 and max(ids.values()) < len(ids) + MOST_GAPS


def _frame(part: Any) -> tuple[str, str] | None:
    """The tokens before and after a text, of a file that puts them there as BERT does.

    Raises:
        ValueError: it puts others, or puts them elsewhere.
    """
    if part is None:
        return None
    if part["type"] == "BertProcessing":
        return part["cls"][0], part["sep"][0]
    if part["type"] == "TemplateProcessing":
        single, pair = (
            [next(iter(piece.values()))["id"] for piece in part[name]] for name in ("single", "pair")
        )
        if len(single) == 3 and single[1] == "A" and pair == [*single, "B", single[2]]:
            return single[0], single[2]
    raise ValueError("rows that are not framed as BERT's")
