"""From ids to rows: special tokens around them, cut and padded, with the published methods and arguments."""

import logging
from collections.abc import Sequence
from typing import Any

from distilbert.core.text.decoding import Decoding
from distilbert.core.text.encoding import BatchEncoding
from distilbert.core.text.features import pad_features
from distilbert.core.text.options import Cutting, Padding, cutting, one_side, padding_of
from distilbert.core.text.rows import Rows
from distilbert.core.text.windows import windows
from distilbert.errors import ConfigError, DataError

logger = logging.getLogger(__name__)


class Assembly(Decoding):
    """Ids to rows for a model."""

    #: The columns that a call gives where nothing else is asked for. The model has no token types.
    model_input_names: Sequence[str] = ("input_ids", "attention_mask")

    #: The greatest number of tokens that the model takes, special ones included.
    model_max_length: int

    _padding_side = "right"
    _truncation_side = "right"
    _warned_of_length = False

    @property
    def padding_side(self) -> str:
        """Where padding is put: "right" or "left"."""
        return self._padding_side

    @padding_side.setter
    def padding_side(self, side: str) -> None:
        self._padding_side = one_side("padding_side", side)

    @property
    def truncation_side(self) -> str:
        """Where tokens are dropped: "right" or "left"."""
        return self._truncation_side

    @truncation_side.setter
    def truncation_side(self, side: str) -> None:
        self._truncation_side = one_side("truncation_side", side)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a row of one text, or of two, has."""
        return 3 if pair else 2

    @property
    def max_len_single_sentence(self) -> int:
        """The most tokens of a text alone, special ones not counted."""
        return self.model_max_length - self.num_special_tokens_to_add()

    @property
    def max_len_sentences_pair(self) -> int:
        """The most tokens of a pair, special ones not counted."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """[CLS] A [SEP], or [CLS] A [SEP] B [SEP]."""
        cls, sep = [self.cls_token_id], [self.sep_token_id]
        return [*cls, *token_ids_0, *sep, *([] if token_ids_1 is None else [*token_ids_1, *sep])]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """0 for [CLS] A [SEP], 1 for B [SEP]."""
        return [0] * (len(token_ids_0) + 2) + ([] if token_ids_1 is None else [1] * (len(token_ids_1) + 1))

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for special tokens and 0 for others: of a whole row, or of the row that these ids make.

        Raises:
            DataError: a whole row in two parts.
        """
        if not already_has_special_tokens:
            second = [] if token_ids_1 is None else [*[0] * len(token_ids_1), 1]
            return [1, *[0] * len(token_ids_0), 1, *second]
        if token_ids_1 is not None:
            raise DataError(
                "Ids that have their special tokens are one row.",
                received="token_ids_1 beside them",
                remedy="Give the whole row as token_ids_0.",
            )
        special = set(self.all_special_ids)
        return [int(number in special) for number in token_ids_0]

    def prepare_for_model(
        self,
        ids: Sequence[int],
        pair_ids: Sequence[int] | None = None,
        add_special_tokens: bool = True,
        padding: Any = False,
        truncation: Any = None,
        max_length: int | None = None,
        stride: int = 0,
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
        prepend_batch_axis: bool = False,
    ) -> BatchEncoding:
        """A row of ids that are tokens already; the arguments are those of a call on a text.

        With ``return_overflowing_tokens`` what was cut off stands in ``overflowing_tokens``, with ``stride``
        of the kept tokens before it, and its number in ``num_truncated_tokens``.

        Raises:
            ConfigError: ``return_offsets_mapping``; or arguments that contradict each other.
        """
        if return_offsets_mapping:
            raise ConfigError(
                "Only a text says which of its characters a token came from.",
                received="return_offsets_mapping=True, of ids",
                remedy="Call the tokenizer on the text.",
            )
        cut = self._cutting(truncation, max_length, stride)
        rows = Rows(
            self,
            [ids],
            None if pair_ids is None else [pair_ids],
            framed=add_special_tokens,
            cut=cut,
            pad=self._padding(padding, max_length, cut, pad_to_multiple_of, padding_side),
            overflowing=False,
        )
        if verbose:
            self._warn_of_length(rows)
        columns = self._columns(
            rows, return_token_type_ids, return_attention_mask, return_special_tokens_mask, array=False
        )
        if return_length:
            columns["length"] = rows.padded_lengths
        if return_overflowing_tokens:
            dropped = rows.dropped[0]
            removed = self.truncate_sequences(ids, pair_ids, dropped, cut.strategy, cut.stride)[2]
            columns |= {"overflowing_tokens": [removed], "num_truncated_tokens": [dropped]}
        return BatchEncoding(
            {name: column[0] for name, column in columns.items()},
            tensor_type=return_tensors,
            prepend_batch_axis=prepend_batch_axis,
            dropped=rows.dropped,
        )

    def truncate_sequences(
        self,
        ids: Sequence[int],
        pair_ids: Sequence[int] | None = None,
        num_tokens_to_remove: int = 0,
        truncation_strategy: Any = "longest_first",
        stride: int = 0,
    ) -> tuple[list[int], list[int] | None, list[int]]:
        """Ids without ``num_tokens_to_remove`` of them.

        Args:
            stride: how many of the kept tokens stand again with the removed ones.

        Returns:
            What is left of the first text and of the second, and what was removed of the one that was cut
            (of the first, where both were).
        """
        total = len(ids) + len(pair_ids or ())
        kept = windows(
            len(ids),
            None if pair_ids is None else len(pair_ids),
            limit=total - max(0, num_tokens_to_remove),
            strategy=str(getattr(truncation_strategy, "value", truncation_strategy)),
            side=self.truncation_side,
        )[0]
        texts = [(ids, kept.first)]
        if pair_ids is not None and kept.second is not None:
            texts.append((pair_ids, kept.second))
        left = [list(text[start:end]) for text, (start, end) in texts]
        removed: list[int] = []
        for text, (start, end) in texts:
            if end - start < len(text) and not removed:
                right = self.truncation_side == "right"
                removed = list(text[max(0, end - stride) :] if right else text[: start + stride])
        return left[0], left[1] if len(left) > 1 else None, removed

    def pad(
        self,
        encoded_inputs: Any,
        padding: Any = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: Any = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Rows that were made one by one, padded to one length.

        Args:
            encoded_inputs: one row's columns, a batch's, or a list of rows; ``input_ids`` among them.
            padding: and the others, as of a call.
            verbose: of no effect here; the peer's arguments are kept.

        Raises:
            DataError: rows without ``input_ids``.
        """
        pad = self._padding(
            padding, max_length, self._cutting(False, None, 0), pad_to_multiple_of, padding_side
        )
        fillers = {
            "input_ids": self.pad_token_id,
            "attention_mask": 0,
            "token_type_ids": self.pad_token_type_id,
            "special_tokens_mask": 1,
        }
        masked = return_attention_mask
        if masked is None:
            masked = "attention_mask" in self.model_input_names
        return BatchEncoding(
            pad_features(encoded_inputs, pad=pad, fillers=fillers, masked=masked), tensor_type=return_tensors
        )

    def _cutting(self, truncation: Any, max_length: int | None, stride: int) -> Cutting:
        return cutting(
            truncation,
            max_length=max_length,
            model_max_length=self.model_max_length,
            stride=stride,
            side=self.truncation_side,
        )

    def _padding(
        self, padding: Any, max_length: int | None, cut: Cutting, multiple: int | None, side: str | None
    ) -> Padding:
        pad = padding_of(
            padding,
            max_length=max_length,
            model_max_length=self.model_max_length,
            cut=cut,
            multiple=multiple,
            side=self.padding_side if side is None else side,
        )
        if pad.strategy != "do_not_pad" and self.pad_token is None:
            raise DataError(
                "Padding needs a padding token.",
                received="pad_token=None",
                remedy='Set it: tokenizer.pad_token = "[PAD]"',
            )
        return pad

    def _columns(
        self,
        rows: Rows,
        token_type_ids: bool | None,
        attention_mask: bool | None,
        special_tokens_mask: bool,
        *,
        array: bool,
    ) -> dict[str, Any]:
        """Those that were asked for, or that the model takes where that was not said."""
        asked = {
            "input_ids": True,
            "token_type_ids": token_type_ids,
            "attention_mask": attention_mask,
            "special_tokens_mask": special_tokens_mask,
        }
        return {
            name: rows.column(name, array=array)
            for name, wanted in asked.items()
            if (name in self.model_input_names if wanted is None else wanted)
        }

    def _warn_of_length(self, rows: Rows) -> None:
        longest = max(rows.lengths, default=0)
        if longest > self.model_max_length and not self._warned_of_length:
            self._warned_of_length = True
            logger.warning(
                "A row must be at most %d tokens long for the model. Received: %d. Add truncation=True.",
                self.model_max_length,
                longest,
            )
