"""Texts of sentence embeddings to ids: lower case, prompts and lengths as their folder says."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from distilbert.core.config import EncoderConfig
from distilbert.core.data.readers import Reader
from distilbert.core.sentence_folders import SentenceModules
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.errors import ConfigError, DataError


def longest_text(modules: SentenceModules, config: EncoderConfig, tokenizer: DistilBertTokenizerFast) -> int:
    """Tokens of the longest text that is not cut."""
    most = min(config.max_position_embeddings, tokenizer.model_max_length)
    return min(most, modules.max_seq_length or most)


def tokenize(
    reader: Reader,
    texts: Sequence[str],
    modules: SentenceModules,
    *,
    before: str = "",
    max_length: int,
) -> tuple[list[Any], "np.ndarray[Any, np.dtype[np.int64]]", int]:
    """The ids of texts, how many tokens of each did not fit, and how many at the beginning are not pooled.

    Args:
        reader: of the encoder.
        texts: without the prompt.
        modules: say whether texts are lower-cased, and whether the prompt is pooled.
        before: the prompt.
        max_length: in tokens.

    Raises:
        ConfigError: a prompt that leaves no room for a text.
        DataError: something that is not a text of valid Unicode.
    """
    if wrong := next((text for text in texts if not isinstance(text, str)), None):
        raise DataError(
            "What is embedded is texts.",
            received=f"{wrong!r:.60}",
            remedy="Leave it out, or write it as text.",
        )
    texts = [before + text for text in texts] if before else texts
    if modules.do_lower_case:
        before, texts = before.lower(), [text.lower() for text in texts]
    made = reader.rows(texts, max_length=max_length)
    # [CLS] and the prompt's words, without the [SEP] that ends a text.
    prompt = len(reader.pieces([before])[0].input_ids) + len(reader.frame.before) if before else 0
    if prompt and prompt + 1 >= max_length:
        raise ConfigError(
            "A prompt must leave room for the text.",
            received=f"one of {prompt} tokens, and texts of at most {max_length}",
            remedy="Choose a shorter one, or none.",
        )
    return made.input_ids, made.dropped, 0 if modules.pooling.include_prompt else prompt
