"""Ids back to text."""

from collections.abc import Iterable, Sequence
from typing import Any

from distilbert.core.text.vocabulary import Vocabulary

#: What a decoded word loses in front of it, and what it becomes; the library's list, in its order.
_WORD_CLEANING = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
    (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip

#: The same for a whole text: the peer's list, in its order.
_TEXT_CLEANING = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
    (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


class Decoding(Vocabulary):
    """The way from tokens and ids to text."""

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """The text of tokens: pieces joined to their words, words set apart by spaces."""
        words = []
        for i, token in enumerate(tokens):
            word = token
            if i:
                goes_on = token.startswith(self._prefix)
                word = token[len(self._prefix) :] if goes_on else f" {token}"
            if " " in word or "'" in word:
                for dirty, tidy in _WORD_CLEANING:
                    word = word.replace(dirty, tidy)
            words.append(word)
        return "".join(words)

    @staticmethod
    def clean_up_tokenization(out_string: str) -> str:
        """Without the spaces before punctuation and in English contractions."""
        for dirty, tidy in _TEXT_CLEANING:
            out_string = out_string.replace(dirty, tidy)
        return out_string

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> str:
        """The text of ids.

        Args:
            token_ids: one id, or a list or array [S] of them.
            skip_special_tokens: leave the special tokens out.
            clean_up_tokenization_spaces: None means what the tokenizer was made with.

        Raises:
            DataError: an id that no token has.
        """
        ids = token_ids.tolist() if hasattr(token_ids, "tolist") else token_ids
        tokens = self.convert_ids_to_tokens([ids] if isinstance(ids, int) else ids, skip_special_tokens)
        text = self.convert_tokens_to_string(tokens)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return self.clean_up_tokenization(text) if clean_up_tokenization_spaces else text

    def batch_decode(
        self,
        sequences: Iterable[Any],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[str]:
        """The text of each row of ids."""
        return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in sequences]
