"""Model folders: configuration and tokenizer, which must belong together, and what is known of the model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilbert.core.config import BertConfig, EncoderConfig, read_config
from distilbert.core.files import FACTS_FILE, write_json
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.errors import ConfigError


def open_folder(folder: str | Path) -> tuple[EncoderConfig, DistilBertTokenizerFast]:
    """A folder's configuration and tokenizer.

    Raises:
        CheckpointError: the folder lacks a file, or one is damaged.
        ConfigError: the tokenizer has ids that the model has no embeddings for.
    """
    config = read_config(folder)
    tokenizer = DistilBertTokenizerFast.from_pretrained(folder)
    require_embeddings(config, tokenizer, folder)
    return config, tokenizer


def require_embeddings(config: EncoderConfig, tokenizer: DistilBertTokenizerFast, folder: str | Path) -> None:
    """Refuse a tokenizer, of a folder, with ids that a model has no embeddings for."""
    greatest = max(tokenizer.get_vocab().values())
    if greatest >= config.vocab_size:
        raise ConfigError(
            "A model must have an embedding for every token of its tokenizer.",
            received=f"{len(tokenizer)} tokens with ids up to {greatest}, and {config.vocab_size} embeddings "
            f"in {folder}",
            remedy="Put the tokenizer files into the folder that the model was trained with.",
        )


def save_folder(
    folder: Path,
    model: Any,
    tokenizer: DistilBertTokenizerFast,
    facts: Mapping[str, Any],
) -> None:
    """Write a complete model folder, readable by whatever reads the published format."""
    model.save_pretrained(folder)
    kind = "BertTokenizer" if isinstance(model.config, BertConfig) else "DistilBertTokenizer"
    tokenizer.save_pretrained(folder, tokenizer_class=kind)
    write_json(folder / FACTS_FILE, facts)
