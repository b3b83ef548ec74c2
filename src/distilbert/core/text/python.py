"""The tokenizer in plain Python."""

import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from distilbert.core import rules
from distilbert.core.text.interface import Tokenizer
from distilbert.core.text.rows import Segment
from distilbert.core.text.samples import Text, is_text, not_a_text
from distilbert.core.text.segmenter import Segmenter
from distilbert.errors import ConfigError

Made = TypeVar("Made")

#: Texts that a process takes at once; fewer are not worth sending.
_CHUNK = 256


class DistilBertTokenizer(Tokenizer):
    """Text to ids and back, in plain Python: ``segmenter.py`` is the definition.

    Args:
        vocab_file: and all others not listed here: see ``Configured``.
        do_basic_tokenize: False: no normalising, and splitting at spaces only (published: True).
        never_split: words between spaces, lower-cased where text is, that are tokens as they stand: unknown
            where the vocabulary lacks them. Without effect where ``do_basic_tokenize`` is False.
        num_proc: processes that share long lists of texts. They start with the first such list and stay for
            the next ones, with the words that they have met, until the tokenizer goes or its tokens change.
    """

    def __init__(
        self,
        vocab_file: str | Path | Mapping[str, int] | None = None,
        do_lower_case: bool | None = None,
        do_basic_tokenize: bool | None = None,
        never_split: Iterable[str] | None = None,
        unk_token: Any = "[UNK]",
        sep_token: Any = "[SEP]",
        pad_token: Any = "[PAD]",
        cls_token: Any = "[CLS]",
        mask_token: Any = "[MASK]",
        tokenize_chinese_chars: bool | None = None,
        strip_accents: bool | None = None,
        clean_up_tokenization_spaces: bool = True,
        *,
        num_proc: int = 1,
        **more: Any,
    ) -> None:
        self.num_proc = num_proc
        super().__init__(
            vocab_file,
            do_lower_case=do_lower_case,
            do_basic_tokenize=do_basic_tokenize,
            never_split=never_split,
            unk_token=unk_token,
            sep_token=sep_token,
            pad_token=pad_token,
            cls_token=cls_token,
            mask_token=mask_token,
            tokenize_chinese_chars=tokenize_chinese_chars,
            strip_accents=strip_accents,
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
            **more,
        )
        if self._other_way is not None:
            raise ConfigError(
                "The Python tokenizer goes BERT's way from text to tokens.",
                received="a tokenizer.json that goes another",
                remedy="Use DistilBertTokenizerFast.",
            )

    @property
    def num_proc(self) -> int:
        return self._num_proc

    @num_proc.setter
    def num_proc(self, number: int) -> None:
        self._num_proc = rules.integer(1)("num_proc", number)

    def _vocabulary_changed(self) -> None:
        self._segmenter: Segmenter | None = None
        self._pool: tuple[int, ProcessPoolExecutor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None}  # processes are no part of what is copied

    def _ids(self, texts: Sequence[Text]) -> list[list[int]]:
        return self._of_all(_ids_of, texts)

    def _segments(self, texts: Sequence[Text]) -> list[Segment]:
        return self._of_all(_segments_of, texts)

    def _of_all(
        self, make: Callable[[Segmenter, Sequence[Text]], list[Made]], texts: Sequence[Text]
    ) -> list[Made]:
        """What ``make`` makes of the texts, in this process or in several."""
        if not all(map(is_text, texts)):
            raise not_a_text(texts)
        if self._segmenter is None:
            self._segmenter = Segmenter(
                self._vocab,
                unknown=self.unk_token,
                added=self._looked_for(),
                special_is_text=self.split_special_tokens,
                pipeline=self._pipeline,
            )
        if self.num_proc <= 1 or len(texts) <= _CHUNK:
            return make(self._segmenter, texts)
        chunks = [texts[i : i + _CHUNK] for i in range(0, len(texts), _CHUNK)]
        try:
            parts = self._processes(self._segmenter).map(_in_child, [make] * len(chunks), chunks)
            return [made for part in parts for made in part]
        except BrokenProcessPool:
            self._pool = None  # the next call starts others
            raise BrokenProcessPool(
                "The processes that share texts must stay until they are done. Received: one that ended. "
                'In a script, call the tokenizer under `if __name__ == "__main__":`; in a console, and where '
                "memory is short, use num_proc=1."
            ) from None

    def _processes(self, segmenter: Segmenter) -> ProcessPoolExecutor:
        if self._pool is None or self._pool[0] != self.num_proc:
            # A forked child would inherit the locks of whatever threads this process runs.
            context = multiprocessing.get_context("spawn")
            self._pool = self.num_proc, ProcessPoolExecutor(self.num_proc, context, _start, (segmenter,))
        return self._pool[1]


def _ids_of(segmenter: Segmenter, texts: Sequence[Text]) -> list[list[int]]:
    return [segmenter.ids(text) for text in texts]


def _segments_of(segmenter: Segmenter, texts: Sequence[Text]) -> list[Segment]:
    return [segmenter.segment(text) for text in texts]


#: The segmenter of a child process.
_own: list[Segmenter] = []


def _start(segmenter: Segmenter) -> None:
    _own[:] = [segmenter]


def _in_child(make: Callable[[Segmenter, Sequence[Text]], list[Made]], texts: Sequence[Text]) -> list[Made]:
    return make(_own[0], texts)
