"""What both tokenizers do alike with text; they differ in how a text becomes tokens."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core import rules
from distilbert.core.text.configured import Configured
from distilbert.core.text.encoding import BatchEncoding
from distilbert.core.text.rows import Rows, Segment
from distilbert.core.text.samples import Text, not_a_text, samples
from distilbert.errors import ConfigError, DataError

#: Texts that are tokenised at once: what a tokenizer makes of one is many times its ids.
_AT_ONCE = 8192


@dataclass(frozen=True)
class TokenizedTexts:
    """Texts as ids with [CLS] and [SEP] around each, unpadded.

    Attributes:
        input_ids: one int32 array a text.
        dropped: one number a text, of tokens that did not fit the greatest length.
    """

    input_ids: list["np.ndarray[Any, np.dtype[np.int32]]"]
    dropped: "np.ndarray[Any, np.dtype[np.int64]]"

    @property
    def lengths(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        return np.array([len(ids) for ids in self.input_ids], np.int64)


class Tokenizer(Configured):
    """Text to rows for a model."""

    @abstractmethod
    def _ids(self, texts: Sequence[Text]) -> list[list[int]]:
        """The ids of each text's tokens, without special ones."""

    @abstractmethod
    def _segments(self, texts: Sequence[Text]) -> list[Segment]:
        """The same, with where each token came from."""

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: None = None,
        text_pair_target: None = None,
        add_special_tokens: bool = True,
        padding: Any = False,
        truncation: Any = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: Any = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Rows of ids, from a text, a pair of texts, or many of either.

        Args:
            text: a text; a list of texts or of (text, text) pairs; with ``is_split_into_words``, a list of
                words or a list of such lists.
            text_pair: the second text of the pair, or one for each of ``text``.
            text_target, text_pair_target: None; they keep the peer's order of arguments.
            add_special_tokens: [CLS] before, and [SEP] after each text.
            padding: True or "longest" to the longest row; "max_length"; False for none.
            truncation: True or "longest_first", "only_first", "only_second"; False for none.
            max_length: the greatest length of a row in tokens, special ones included; None for the model's.
            stride: with ``return_overflowing_tokens``, how many tokens neighbouring windows share.
            is_split_into_words: texts are given as lists of their words.
            pad_to_multiple_of: padded rows are as long as some multiple of it.
            padding_side: "right" or "left"; None for the tokenizer's own.
            return_tensors: "np", "pt", "jax" or "tf" for arrays [B, S]; None for lists.
            return_token_type_ids: 0 for the first text's tokens, 1 for the second's.
            return_attention_mask: 1 for tokens, 0 for padding.
            return_overflowing_tokens: what is cut off makes further rows; ``overflow_to_sample_mapping``
                says whose each row is.
            return_special_tokens_mask: 1 for special tokens and padding.
            return_offsets_mapping: the characters [start, end) that each token came from.
            return_length: the number of tokens of each row, padding included.
            verbose: warn once of a row that is longer than the model takes.

        Returns:
            The columns, with ``dropped``, the number of its text's tokens that each row lacks.

        Raises:
            ConfigError: arguments that contradict each other.
            DataError: something that is not a text of valid Unicode.
        """
        if text_target is not None or text_pair_target is not None:
            raise ConfigError(
                "Targets are of sequence-to-sequence models, of which there is none here.",
                received=f"text_target={text_target!r:.40}, text_pair_target={text_pair_target!r:.40}",
                remedy="Give text and text_pair, and name every other argument.",
            )
        firsts, seconds, single = samples(text, text_pair, is_split_into_words)
        cut = self._cutting(truncation, max_length, stride)
        pad = self._padding(padding, max_length, cut, pad_to_multiple_of, padding_side)

        def segments() -> tuple[list[Segment], list[Segment] | None]:
            return self._segments(firsts), None if seconds is None else self._segments(seconds)

        ids: list[list[int]]
        more_ids: list[list[int]] | None
        if return_offsets_mapping:
            known = segments()
            ids, more_ids = [s.ids for s in known[0]], None if known[1] is None else [s.ids for s in known[1]]
        else:
            # Where tokens came from costs more than what they are: it is found out when somebody asks.
            known = None
            ids, more_ids = self._ids(firsts), None if seconds is None else self._ids(seconds)
        rows = Rows(
            self,
            ids,
            more_ids,
            framed=add_special_tokens,
            cut=cut,
            pad=pad,
            overflowing=return_overflowing_tokens,
        )
        if verbose:
            self._warn_of_length(rows)
        columns = self._columns(
            rows,
            return_token_type_ids,
            return_attention_mask,
            return_special_tokens_mask,
            array=return_tensors is not None,
        )
        batch = BatchEncoding(
            encoding=lambda: rows.encodings(*(known or segments())),
            n_sequences=1 if seconds is None else 2,
            dropped=rows.dropped,
        )
        if return_offsets_mapping:
            columns["offset_mapping"] = [row.offsets for row in batch.encodings or ()]
        if return_length:
            columns["length"] = rows.padded_lengths
        if return_overflowing_tokens:
            columns["overflow_to_sample_mapping"] = rows.samples
        if single and return_tensors is None and not return_overflowing_tokens:
            columns = {name: column[0] for name, column in columns.items()}
        batch.data = columns
        return batch.convert_to_tensors(return_tensors)

    def encode(
        self,
        text: Any,
        text_pair: Any = None,
        add_special_tokens: bool = True,
        padding: Any = False,
        truncation: Any = None,
        max_length: int | None = None,
        stride: int = 0,
        padding_side: str | None = None,
        return_tensors: Any = None,
        **options: Any,
    ) -> Any:
        """The ids of a row; the arguments, and the options, are those of a call."""
        arguments = dict(locals())
        del arguments["self"], arguments["options"]
        return self(**arguments, **options)["input_ids"]

    def encode_plus(
        self,
        text: Any,
        text_pair: Any = None,
        add_special_tokens: bool = True,
        padding: Any = False,
        truncation: Any = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: Any = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
    ) -> BatchEncoding:
        """The peer's older name for a call on one text or pair."""
        arguments = dict(locals())
        del arguments["self"]
        return self(**arguments)

    def batch_encode_plus(
        self,
        batch_text_or_text_pairs: Any,
        add_special_tokens: bool = True,
        padding: Any = False,
        truncation: Any = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: Any = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
    ) -> BatchEncoding:
        """The peer's older name for a call on a list."""
        arguments = dict(locals())
        del arguments["self"], arguments["batch_text_or_text_pairs"]
        return self(list(batch_text_or_text_pairs), **arguments)

    def tokenize(
        self, text: Any, pair: Any = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of a text, or of a pair one after the other; the options are those of a call.

        Raises:
            DataError: several texts.
        """
        if not isinstance(text, str) and not options.get("is_split_into_words"):
            raise DataError(
                "One text at a time comes apart into a list of tokens.",
                received=f"a {type(text).__name__}",
                remedy="Give a string, or its words with is_split_into_words=True.",
            )
        ids = self(text, pair, add_special_tokens=add_special_tokens, verbose=False, **options)["input_ids"]
        tokens: list[str] = self.convert_ids_to_tokens(ids)
        return tokens

    def encode_texts(self, texts: Iterable[str], *, max_length: int | None = None) -> TokenizedTexts:
        """Many texts at once, as arrays; what does not fit ``max_length`` is dropped, and counted.

        Raises:
            ConfigError: a length without room for [CLS] and [SEP].
            DataError: something that is not a text of valid Unicode.
        """
        rows: list[np.ndarray[Any, np.dtype[np.int32]]] = []
        dropped: list[int] = []
        cls, sep = self.cls_token_id, self.sep_token_id
        longest = rules.optional(rules.integer(1))("max_length", max_length)
        room = None if longest is None else longest - self.num_special_tokens_to_add()
        if room is not None and room < 0:
            raise ConfigError(
                "A row must have room for its special tokens.",
                received=f"max_length={max_length}",
                remedy=f"Choose at least {self.num_special_tokens_to_add()}.",
            )
        every = list(texts)
        for start in range(0, len(every), _AT_ONCE):
            try:
                made = self._ids(every[start : start + _AT_ONCE])
            except DataError:
                raise not_a_text(every) from None  # by its number among all
            for ids in made:
                kept = ids[:room]
                rows.append(np.array([cls, *kept, sep], np.int32))
                dropped.append(len(ids) - len(kept))
        return TokenizedTexts(rows, np.array(dropped, np.int64))
