"""Words in the place of masks."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from distilbert.core import rules
from distilbert.core.data.token_rows import Array
from distilbert.core.parameters import Head
from distilbert.core.reference import log_softmax
from distilbert.engine.pipelines.abstract import Begun, Pipeline, a_text
from distilbert.engine.waiting import Row
from distilbert.errors import DataError


class _Masked(NamedTuple):
    """The ids of a whole text, the columns of its masks, and where what the model reads of it begins."""

    ids: Array
    masks: Array
    shift: int


class FillMask(Pipeline):
    """``[{"score": …, "token": …, "token_str": …, "sequence": …}]``; of several masks a list for each.

    Of a text that is longer than the model reads, what stands around its masks is read. Options: ``top_k``
    (5), ``targets``: the words to choose among.
    """

    head = Head.MASKED_LM

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """As the peer's: a list of one text is answered as that text."""
        answer = super().__call__(inputs, **options)
        return answer[0] if isinstance(inputs, list) and len(inputs) == 1 else answer

    def _begin(self, given: list[Any], *, on_long: str) -> Begun:
        made = self.tokenizer.encode_texts([a_text(one) for one in given])
        masked = [self._masked(np.asarray(ids), on_long) for ids in made.input_ids]
        rows = [self._read(one) for one in masked]
        lost = [len(one.ids) - len(row.ids) for one, row in zip(masked, rows, strict=True)]
        return Begun(masked, rows, cut=sum(map(bool, lost)), dropped=sum(lost))

    def _masked(self, ids: Array, on_long: str) -> _Masked:
        masks = np.flatnonzero(ids == self.tokenizer.mask_token_id)
        if not len(masks):
            raise DataError(
                f"A text to fill must have a mask, {self.tokenizer.mask_token}.",
                received="one without",
                remedy="Put it where a word is wanted.",
            )
        room = self.max_length - 2
        if len(ids) <= self.max_length:
            return _Masked(ids, masks, 0)
        if on_long == "error" or masks[-1] - masks[0] >= room:
            raise DataError(
                f"A text's masks must stand within {room} tokens"
                + (", and it must have no more." if on_long == "error" else "."),
                received=f"{len(ids)} tokens, with masks at {masks[0]} to {masks[-1]}",
                remedy="Shorten the text.",
            )
        middle = (int(masks[0]) + int(masks[-1])) // 2
        return _Masked(ids, masks, int(np.clip(middle - room // 2, 1, len(ids) - 1 - room)) - 1)

    def _read(self, one: _Masked) -> Row:
        asked = (one.masks - one.shift).astype(np.int32)
        if len(one.ids) <= self.max_length:
            return Row(one.ids, asked=asked)
        inside = one.ids[one.shift + 1 : one.shift + self.max_length - 1]
        return Row(np.concatenate([one.ids[:1], inside, one.ids[-1:]]), asked=asked)

    def _answers(
        self, state: list[_Masked], found: list[tuple[Array, ...]], *, top_k: int = 5, targets: Any = None
    ) -> Iterable[Any]:
        wanted = None if targets is None else self._targets(targets)
        top_k = rules.integer(1)("top_k", top_k)
        for one, (logits, *_) in zip(state, found, strict=True):
            likely = np.exp(log_softmax(logits.astype(np.float64)))
            rows = [self._row(one, int(mask), own, top_k, wanted, len(one.masks) == 1)
                    for mask, own in zip(one.masks, likely, strict=True)]  # fmt: skip
            yield rows[0] if len(rows) == 1 else rows

    def _row(
        self, one: _Masked, mask: int, likely: Array, top_k: int, wanted: Array | None, single: bool
    ) -> list[dict[str, Any]]:
        tokens = np.arange(len(likely)) if wanted is None else wanted
        best = tokens[np.argsort(-likely[tokens], kind="stable")[:top_k]].tolist()
        told = []
        for token in best:
            ids = one.ids.copy()
            ids[mask] = token
            # Other masks stay where there are several.
            sequence = self.tokenizer.decode(
                ids[ids != self.tokenizer.pad_token_id].tolist(), skip_special_tokens=single
            )
            told.append({"score": float(likely[token]), "token": token,
                         "token_str": self.tokenizer.decode([token]), "sequence": sequence})  # fmt: skip
        return told

    def _targets(self, targets: Any) -> Array:
        """The ids of the words to choose among; of a word that is no token, its first piece."""
        found = []
        for target in [targets] if isinstance(targets, str) else targets:
            known = self.tokenizer.get_vocab().get(target)
            pieces = [known] if known is not None else self._pieces(target)
            found += pieces[:1]
        if not found:
            raise DataError(
                "Words to choose among must have a token at least.",
                received=f"{targets!r:.60}",
                remedy="Leave targets out, or name others.",
            )
        return np.array(sorted(set(found)), np.int64)

    def _pieces(self, target: Any) -> list[int]:
        made: list[int] = self.tokenizer(a_text(target), add_special_tokens=False, verbose=False)["input_ids"]
        return made
