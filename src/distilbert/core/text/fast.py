"""The tokenizer backed by the ``tokenizers`` library."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from distilbert.core.text.added import AddedToken, wanted
from distilbert.core.text.folder import tokenizer_content
from distilbert.core.text.interface import Tokenizer
from distilbert.core.text.python import DistilBertTokenizer
from distilbert.core.text.rows import Segment
from distilbert.core.text.samples import Text, not_a_text
from distilbert.core.text.vocabulary import several
from distilbert.core.text.wordpiece import WordPiece
from distilbert.errors import CheckpointError, ConfigError


class DistilBertTokenizerFast(Tokenizer):
    """Text to ids and back, by the ``tokenizers`` library, on all cores.

    Args:
        vocab_file: and all others: see ``Configured``.
    """

    is_fast = True
    slow_tokenizer_class = DistilBertTokenizer

    def __init__(
        self,
        vocab_file: str | Path | Mapping[str, int] | None = None,
        tokenizer_file: str | Path | None = None,
        do_lower_case: bool | None = None,
        unk_token: Any = "[UNK]",
        sep_token: Any = "[SEP]",
        pad_token: Any = "[PAD]",
        cls_token: Any = "[CLS]",
        mask_token: Any = "[MASK]",
        tokenize_chinese_chars: bool | None = None,
        strip_accents: bool | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            vocab_file,
            tokenizer_file,
            do_lower_case=do_lower_case,
            unk_token=unk_token,
            sep_token=sep_token,
            pad_token=pad_token,
            cls_token=cls_token,
            mask_token=mask_token,
            tokenize_chinese_chars=tokenize_chinese_chars,
            strip_accents=strip_accents,
            **more,
        )
        if self._pipeline.never_split:
            raise ConfigError(
                "Only the Python tokenizer has words that are never split.",
                received=f"never_split={list(self._pipeline.never_split)!r:.80}",
                remedy="Use DistilBertTokenizer, or add_tokens() them.",
            )

    @property
    def can_save_slow_tokenizer(self) -> bool:
        return self._other_way is None

    @property
    def backend_tokenizer(self) -> Any:
        """The library's tokenizer, with ids of its own where the vocabulary's have gaps; a copy."""
        backend, _ = self._backend
        return type(backend).from_str(backend.to_str())

    @property
    def _tokenizer(self) -> Any:
        """The library's tokenizer itself: the peer's pipeline asks it how each token's pieces are spelled."""
        return self._backend[0]

    @property
    def decoder(self) -> Any:
        return self.backend_tokenizer.decoder

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[Any],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: Sequence[str | AddedToken] | None = None,
        **options: Any,
    ) -> "DistilBertTokenizerFast":
        """A tokenizer with this one's settings, and a vocabulary learnt from other texts.

        Args:
            text_iterator: texts, or lists of them.
            vocab_size: the greatest number of tokens.
            length: of no effect; the peer shows its progress by it.
            new_special_tokens: beside this one's.
            options: of ``train_tokenizer``.
        """
        from distilbert.core.text.trainer import train_tokenizer

        lists = (item if isinstance(item, list | tuple) else [item] for item in text_iterator)
        texts = text_iterator if isinstance(text_iterator, str) else chain.from_iterable(lists)
        special = [*self._additional, *several("new_special_tokens", new_special_tokens or ())]
        settings = {**self._choices(), "special_tokens": special}
        return train_tokenizer(texts, vocab_size=vocab_size, **{**settings, **options})

    def _vocabulary_changed(self) -> None:
        self.__dict__.pop("_backend", None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_backend"}

    @cached_property
    def _backend(self) -> tuple[Any, list[int] | None]:
        """The library's tokenizer, and our id for each of its, where they differ.

        The library numbers added tokens by itself, from the end of the vocabulary on.
        """
        from tokenizers import AddedToken as LibraryToken
        from tokenizers import Tokenizer

        ids = sorted(self._vocab.items(), key=lambda item: item[1])
        content = tokenizer_content(
            self._pipeline,
            {token: i for i, (token, _) in enumerate(ids)},
            unknown=self.unk_token,
            other_way=self._other_way,
        )
        try:
            backend = Tokenizer.from_str(json.dumps(content))
        except Exception as error:  # the library raises nothing narrower
            raise CheckpointError(
                "A tokenizer's files must be ones that the tokenizers library takes.",
                received=str(error)[:200],
                remedy="Restore them from the folder that the model was made from.",
            ) from None
        normalize = backend.normalizer.normalize_str if backend.normalizer else str
        added = [(w.id, w.token) for w in wanted(self._looked_for(), normalize)]
        backend.encode_special_tokens = self.split_special_tokens
        for _, token in added:
            flags = {
                name: value for name, value in token.facts().items() if name not in ("content", "special")
            }
            library_token = LibraryToken(token.content, special=token.special, **flags)
            (backend.add_special_tokens if token.special else backend.add_tokens)([library_token])
        ours = [number for _, number in ids]
        theirs = {backend.token_to_id(token.content): number for number, token in added}
        ours += [theirs[i] for i in range(len(ours), len(ours) + sum(i >= len(ours) for i in theirs))]
        return backend, None if ours == list(range(len(ours))) else ours

    def begun_pieces(self, texts: Sequence[str]) -> set[int]:
        """The ids of the pieces with which unknown words begin, up to where no piece goes on."""
        from tokenizers import models

        backend = self.backend_tokenizer
        # This model knows nothing, and so gives each word as it reaches a model.
        backend.model = models.Unigram([("\0", 0.0)], 0)
        wordpiece = WordPiece(
            self._vocab,
            unknown=self.unk_token,
            prefix=self._pipeline.wordpieces_prefix,
            max_word_characters=self._pipeline.max_word_characters,
        )
        words = {
            token
            for encoding in backend.encode_batch(list(texts), add_special_tokens=False)
            for token, number in zip(encoding.tokens, encoding.ids, strict=True)
            if number == 0
        }
        return {piece[0] for word in words for piece in wordpiece.begun(word)}

    def _ids(self, texts: Sequence[Text]) -> list[list[int]]:
        made = [encoding.ids for encoding in self._encode(texts, "encode_batch_fast")]
        ours = self._backend[1]
        return made if ours is None else [[ours[i] for i in ids] for ids in made]

    def _segments(self, texts: Sequence[Text]) -> list[Segment]:
        ours = self._backend[1]
        return [
            Segment(
                encoding.ids if ours is None else [ours[i] for i in encoding.ids],
                encoding.offsets,
                encoding.word_ids,
            )
            for encoding in self._encode(texts, "encode_batch")
        ]

    def _encode(self, texts: Sequence[Text], method: str) -> list[Any]:
        words = any(isinstance(text, list) for text in texts)
        encode = getattr(self._backend[0], method)
        try:
            made: list[Any] = encode(texts, add_special_tokens=False, is_pretokenized=words)
        except (TypeError, UnicodeEncodeError):
            raise not_a_text(texts) from None
        return made
