"""The settings of BERT's way from text to tokens, in one place for both tokenizers and for the files."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distilbert.core import rules
from distilbert.core.text.characters import characters
from distilbert.core.text.normalize import Normalizer
from distilbert.core.text.wordpiece import MAX_WORD_CHARACTERS

logger = logging.getLogger(__name__)

#: Share of a vocabulary's tokens with capitals above which it is a cased one. Uncased ones have none.
_CASED_SHARE = 0.01

_NO_NORMALIZER = {"type": "Sequence", "normalizers": list[Any]()}


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """
    Attributes:
        do_lower_case: fold case.
        strip_accents: drop combining marks; None means exactly when lower-casing.
        tokenize_chinese_chars: every CJK ideograph is a word.
        clean_text: drop control characters, and make every kind of space a plain one.
        do_basic_tokenize: do all of the above, and split at punctuation; otherwise at spaces only.
        never_split: words between spaces that are tokens as they stand.
        wordpieces_prefix: marks pieces that go on a word.
        max_word_characters: longer words are unknown.
    """

    do_lower_case: bool = True
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True
    clean_text: bool = True
    do_basic_tokenize: bool = True
    never_split: tuple[str, ...] = ()
    wordpieces_prefix: str = "##"
    max_word_characters: int = MAX_WORD_CHARACTERS

    @property
    def strips_accents(self) -> bool:
        return self.do_lower_case if self.strip_accents is None else self.strip_accents

    def normalizer(self) -> Normalizer:
        wanted = self.do_basic_tokenize
        return Normalizer(
            clean_text=wanted and self.clean_text,
            tokenize_chinese_chars=wanted and self.tokenize_chinese_chars,
            strip_accents=wanted and self.strips_accents,
            do_lower_case=wanted and self.do_lower_case,
        )

    def parts(self) -> dict[str, Any]:
        """The parts of a ``tokenizer.json`` that do the same."""
        normalizer = {
            "type": "BertNormalizer",
            "clean_text": self.clean_text,
            "handle_chinese_chars": self.tokenize_chinese_chars,
            "strip_accents": self.strip_accents,
            "lowercase": self.do_lower_case,
        }
        return {
            # The peer asks a normalizer for its settings: there must be one, though it does nothing.
            "normalizer": normalizer if self.do_basic_tokenize else _NO_NORMALIZER,
            "pre_tokenizer": {"type": "BertPreTokenizer" if self.do_basic_tokenize else "WhitespaceSplit"},
            "decoder": {"type": "WordPiece", "prefix": self.wordpieces_prefix, "cleanup": True},
        }

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "Pipeline | None":
        """From a ``tokenizer.json``; None where it goes another way than BERT's."""
        normalizer, splitter, model = (
            content.get(name) or {} for name in ("normalizer", "pre_tokenizer", "model")
        )
        wordpiece = {
            "wordpieces_prefix": model.get("continuing_subword_prefix", "##"),
            "max_word_characters": model.get("max_input_chars_per_word", MAX_WORD_CHARACTERS),
        }
        rules.text("continuing_subword_prefix", wordpiece["wordpieces_prefix"])
        rules.integer(1)("max_input_chars_per_word", wordpiece["max_word_characters"])
        if normalizer in ({}, _NO_NORMALIZER) and splitter.get("type") == "WhitespaceSplit":
            return cls(do_basic_tokenize=False, **wordpiece)
        if normalizer.get("type") != "BertNormalizer" or splitter.get("type") != "BertPreTokenizer":
            return None
        flags = {
            "clean_text": normalizer.get("clean_text", True),
            "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
            "do_lower_case": normalizer.get("lowercase", True),
        }
        for name, flag in flags.items():
            rules.flag(name, flag)
        accents = rules.optional(rules.flag)("strip_accents", normalizer.get("strip_accents"))
        return cls(**flags, strip_accents=accents, **wordpiece)


def cased_as(
    vocabulary: Sequence[str], pipeline: Pipeline, *, asked: bool | None, said: bool | None
) -> Pipeline:
    """The pipeline that lower-cases as asked, else as the files say, else as the vocabulary is written.

    A lower-casing tokenizer never reaches a vocabulary's capitals, nor, where it strips accents, what that
    takes apart (accented letters, Hangul): the contradiction is worth a warning.

    Args:
        vocabulary: the tokens that words come apart into.
        pipeline: the other settings.
        asked: ``do_lower_case``, or None.
        said: what the vocabulary's files say of it, or None.
    """
    tokens = [token for token in vocabulary if not token.startswith("[")]
    table, alphabet = characters(), set().union(*tokens)
    capital = {c for c in alphabet if c in table.lower}
    accented = {c for c in alphabet if table.decomposed(c) != c}
    capitals, accents = (sum(not kind.isdisjoint(t) for t in tokens) for kind in (capital, accented))
    some = _CASED_SHARE * len(tokens)
    if asked is None and said is None:
        # Accents show that they were not stripped; beside them, any capital shows that case was not folded.
        cased = capitals > some or (accents > some and capitals > 0)
        if not cased and accents > some and pipeline.strip_accents is None:
            pipeline = replace(pipeline, strip_accents=False)
        return replace(pipeline, do_lower_case=not cased)
    pipeline = replace(pipeline, do_lower_case=bool(said if asked is None else asked))
    if said not in (None, pipeline.do_lower_case):
        logger.warning(
            "do_lower_case must fit the vocabulary. Received: %s, where the vocabulary's files say %s. "
            "Leave it out, or use the other vocabulary.",
            asked,
            said,
        )
    elif (pipeline.do_basic_tokenize and pipeline.do_lower_case) and (
        capitals > some or (pipeline.strips_accents and accents > some)
    ):
        logger.warning(
            "do_lower_case must fit the vocabulary. Received: True, for a vocabulary where %d of %d tokens "
            "have capitals, and %d accents. Use do_lower_case=False, for accents alone "
            "strip_accents=False, or the uncased vocabulary.",
            capitals,
            len(tokens),
            accents,
        )
    return pipeline
