"""What a run of hidden words reads: sequences of a text, and which of their words are hidden."""

from typing import Any

from distilbert.core.config import EncoderConfig
from distilbert.core.data.corpus import Corpus, open_corpus
from distilbert.core.data.masking import Masking, continuing_pieces, smoothed_weights
from distilbert.core.data.texts import Source
from distilbert.core.progress import Progress
from distilbert.core.recipe import LanguageModelling
from distilbert.core.text import DistilBertTokenizerFast


def corpus_of(
    texts: Source,
    tokenizer: DistilBertTokenizerFast,
    config: EncoderConfig,
    recipe: LanguageModelling,
    progress: Progress,
    *,
    kind: type[Corpus] = Corpus,
) -> Corpus:
    """A text as sequences that fit the model. Errors are ``open_corpus``'s."""
    return open_corpus(
        texts,
        tokenizer,
        max_length=min(recipe.max_length, config.max_position_embeddings),
        min_length=recipe.min_length,
        kind=kind,
        progress=progress,
    )


def masking_of(
    data: Corpus, tokenizer: DistilBertTokenizerFast, vocab_size: int, recipe: LanguageModelling
) -> Masking:
    """How a recipe hides words of these sequences."""
    whole_words = recipe.masking != "token"
    smoothed = smoothed_weights(data.counts(vocab_size), power=recipe.smoothing) if recipe.smoothing else None
    return Masking(
        vocab_size=vocab_size,
        mask_token_id=tokenizer.mask_token_id,
        special_ids=tuple(tokenizer.all_special_ids),
        rate=recipe.mask_rate,
        mask_share=recipe.mask_share,
        keep_share=recipe.keep_share,
        weights=smoothed,
        unit=recipe.masking,
        continues=continuing_pieces(tokenizer.get_vocab(), vocab_size=vocab_size) if whole_words else None,
    )


def what_is_asked(data: Corpus, vocab_size: int, recipe: LanguageModelling) -> dict[str, Any]:
    """All that decides which words are hidden, and at which temperature a teacher is asked about them."""
    fields = ("seed", "masking", "mask_rate", "mask_share", "keep_share", "smoothing", "temperature")
    asked = {name: getattr(recipe, name) for name in fields}
    return {"text": data.fingerprint, "vocab_size": vocab_size, **asked}
