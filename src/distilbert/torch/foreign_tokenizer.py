"""How teachers of other families take texts to pieces: their own tokenizer, asked as tasks ask ours."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from distilbert.core.data.readers import Frame, Pieces, Span
from distilbert.core.data.reading import stripped
from distilbert.core.data.token_rows import TokenRows

#: Texts that are tokenised at a time.
_CHUNK = 1024


@dataclass(frozen=True)
class ForeignTokenizer:
    """Another family's tokenizer, as far as teachers need it; as a ``Reader`` it is asked about tasks.

    Attributes:
        backend: of ``transformers``.
        max_length: of a row, in tokens.
    """

    backend: Any
    max_length: int

    @property
    def mask_token_id(self) -> int | None:
        return self.backend.mask_token_id

    @property
    def pad_token_id(self) -> int:
        return int(self.backend.pad_token_id or 0)

    def get_vocab(self) -> dict[str, int]:
        return dict(self.backend.get_vocab())

    def content(self) -> dict[str, Any]:
        """What its ``tokenizer.json`` holds."""
        return dict(json.loads(self.backend.backend_tokenizer.to_str()))

    def __call__(self, texts: Sequence[str], **options: Any) -> Mapping[str, Any]:
        return self.backend(list(texts), truncation=True, max_length=self.max_length, **options)

    # What tasks ask.

    @cached_property
    def frame(self) -> Frame:
        return self._frame("a")

    @cached_property
    def pair_frame(self) -> Frame:
        return self._frame("a", "b")

    def _frame(self, *texts: str) -> Frame:
        """The special tokens around texts, by what it makes of one."""
        made = self.backend(*texts)
        ids, of = made["input_ids"], made.sequence_ids(0)
        own = [i for i, text in enumerate(of) if text is not None]
        inside = [i for i in range(own[0], own[-1]) if of[i] is None]
        return Frame(
            *(tuple(ids[i] for i in at) for at in (range(own[0]), inside, range(own[-1] + 1, len(of))))
        )

    @cached_property
    def tells_types(self) -> bool:
        """Whether its model is told which text of a pair each token is of: 0 up to the second one, then 1.

        Raises:
            ValueError: it is told otherwise.
        """
        one, two = (self.backend(*texts).get("token_type_ids", ()) for texts in (("a",), ("a", "b")))
        if not any(one) and not any(two):
            return False
        second = self.backend("a", "b").sequence_ids(0).index(1)
        if any(one) or two != [0] * second + [1] * (len(two) - second):
            raise ValueError("token types are others than 0 and, from the second text of a pair on, 1")
        return True

    def rows(
        self,
        firsts: Sequence[str],
        seconds: Sequence[str] | None = None,
        *,
        max_length: int,
        cut: str = "longest_first",
    ) -> TokenRows:
        rows: list[Any] = []
        dropped: list[int] = []
        begins: list[int] = []
        given = [firsts] if seconds is None else [firsts, seconds]
        for start in range(0, len(firsts), _CHUNK):
            chunk = [list(texts[start : start + _CHUNK]) for texts in given]
            whole = self.backend(*chunk, truncation=False, verbose=False)
            for i, ids in enumerate(whole["input_ids"]):
                row, of, lost = ids, whole.sequence_ids(i), max(0, len(ids) - max_length)
                if lost:
                    short = self.backend(
                        *(texts[i] for texts in chunk), truncation=cut, max_length=max_length
                    )
                    row, of = short["input_ids"], short.sequence_ids(0)
                rows.append(np.array(row, np.int32))
                dropped.append(lost)
                begins.append(sum(map(len, self.pair_frame[:2])) + of.count(0))
        second = None if seconds is None else np.array(begins, np.int64)
        return TokenRows(rows, np.array(dropped, np.int64), second)

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        return [Pieces(np.array(ids, np.int32), spans) for ids, spans, _ in self._whole(texts)]

    def words(self, texts: Sequence[str], words: Sequence[Sequence[Span]]) -> list[list[list[int]]]:
        """The tokens of each word: the whole text is taken to pieces, since a word's depend on what is before
        it. A token that holds characters of several words is the first one's.
        """
        return [
            _shared_out(list(ids), spans, of, own)
            for (ids, spans, of), own in zip(self._whole(texts), words, strict=True)
        ]

    def _whole(self, texts: Sequence[str]) -> Any:
        """Of each text its ids, the characters of each token, [S, 2], and of which part it was cut from."""
        for start in range(0, len(texts), _CHUNK):
            chunk = list(texts[start : start + _CHUNK])
            made = self.backend(
                chunk, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
            )
            for i, (text, ids, offsets) in enumerate(
                zip(chunk, made["input_ids"], made["offset_mapping"], strict=True)
            ):
                spans = np.array([stripped(text, *span) for span in offsets], np.int32).reshape(-1, 2)
                yield ids, spans, made.word_ids(i)


def _shared_out(
    ids: list[int], spans: "np.ndarray[Any, np.dtype[np.int32]]", of: list[int | None], words: Sequence[Span]
) -> list[list[int]]:
    """A text's tokens, word by word.

    A token without a character of its own, such as one for a space, goes with the next token where both were
    cut from one thing, else with the word before it.
    """
    found: list[list[int]] = [[] for _ in words]
    ends = np.array([end for _, end in words], np.int64)
    owner, waiting = -1, []
    for i, (token, (start, end)) in enumerate(zip(ids, spans.tolist(), strict=True)):
        if start == end:
            if i + 1 < len(ids) and of[i] is not None and of[i] == of[i + 1]:
                waiting.append(token)
            elif owner >= 0:
                found[owner].append(token)
            continue
        word = int(np.searchsorted(ends, start, side="right"))
        if word < len(words) and words[word][0] < end:
            owner = word
        if owner >= 0:
            found[owner] += [*waiting, token]
        waiting = []
    return found
