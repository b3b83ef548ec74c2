"""Tokens and ids: the vocabulary, the tokens added to it, and those with a meaning to the model."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from operator import index
from threading import Lock
from typing import Any, Self

from distilbert.core.text.added import AddedToken
from distilbert.core.text.special import SPECIAL_TOKENS, SpecialToken, SpecialTokenId
from distilbert.errors import ConfigError, DataError

#: Ids that no token has, at most: room for what was left out, none for numbers that fill memory.
MOST_GAPS = 2**16

#: Two threads that add tokens at once must not give them one id. It is no tokenizer's own, which is pickled.
_ADDING = Lock()


class Vocabulary:
    """Both ways between tokens and ids.

    Args:
        ids: of the vocabulary's own tokens.
        added: tokens beside them, or flags of some of them, by id.
        special: by name (``SPECIAL_TOKENS``), the tokens with a meaning.
        additional_special_tokens: further ones.
        prefix: marks the pieces that go on a word.
        clean_up_tokenization_spaces: decoded text loses the spaces before punctuation and in contractions.

    Raises:
        ConfigError: a special token that neither the vocabulary nor the added tokens have.
    """

    SPECIAL_TOKENS_ATTRIBUTES = (*SPECIAL_TOKENS, "additional_special_tokens")

    bos_token, eos_token, unk_token = SpecialToken(), SpecialToken(), SpecialToken()
    sep_token, pad_token, cls_token = SpecialToken(), SpecialToken(), SpecialToken()
    mask_token = SpecialToken()
    bos_token_id, eos_token_id, unk_token_id = SpecialTokenId(), SpecialTokenId(), SpecialTokenId()
    sep_token_id, pad_token_id, cls_token_id = SpecialTokenId(), SpecialTokenId(), SpecialTokenId()
    mask_token_id = SpecialTokenId()

    def __init__(
        self,
        ids: Mapping[str, int],
        *,
        added: Mapping[int, AddedToken],
        special: Mapping[str, str | AddedToken | None],
        additional_special_tokens: Sequence[str | AddedToken],
        prefix: str,
        clean_up_tokenization_spaces: bool,
    ) -> None:
        self._vocab = dict(ids)
        self._tokens = {number: token for token, number in self._vocab.items()}
        self._added: dict[int, AddedToken] = {i: t for i, t in sorted(added.items()) if t.content}
        ids_end = self.vocab_size + MOST_GAPS
        if strange := [i for i in self._added if not 0 <= i < ids_end]:
            raise ConfigError(
                "The ids of added tokens go on from the vocabulary's.",
                received=f"{self._added[strange[0]].content!r:.80} with the id {strange[0]}",
                remedy="Restore the tokenizer's files.",
            )
        self._all_ids = self.get_vocab()
        self._special: dict[str, AddedToken] = {}
        self._additional: list[AddedToken] = []
        self._prefix = prefix
        self.clean_up_tokenization_spaces = clean_up_tokenization_spaces
        if lacking := [
            f"{n}={t}" for n, t in special.items() if t is not None and str(t) not in self._all_ids
        ]:
            # Ids of its own would mean nothing to any model: such a vocabulary is another family's.
            raise ConfigError(
                "Every special token must be in the vocabulary.",
                received=f"a vocabulary without {', '.join(lacking)}",
                remedy="Name the tokens that this vocabulary uses, or choose the vocabulary that has them.",
            )
        self._set_special(special)
        self._add_additional(additional_special_tokens, replace=True)

    # Sizes and listings.

    @property
    def vocab_size(self) -> int:
        """The rows of an embedding of the vocabulary itself; ``len`` has those of added tokens too.

        That is the number of tokens, and where no token has some id, one more than the greatest.
        """
        return max(self._tokens) + 1

    def __len__(self) -> int:
        return max(*self._tokens, *self._added) + 1

    @property
    def total_vocab_size(self) -> int:
        """All tokens, the added ones included; the peer's name for ``len``."""
        return len(self)

    @property
    def ids_to_tokens(self) -> dict[int, str]:
        """The vocabulary's own tokens by id; a copy."""
        return dict(self._tokens)

    @property
    def own_vocab(self) -> dict[str, int]:
        """Ids of the vocabulary's own tokens, without those that were added to it."""
        return dict(self._vocab)

    @property
    def vocab(self) -> dict[str, int]:
        return self.get_vocab()

    def get_vocab(self) -> dict[str, int]:
        """Ids of all tokens, the added ones included."""
        return {**self._vocab, **self.added_tokens_encoder}

    def get_added_vocab(self) -> dict[str, int]:
        """Ids of the added tokens, among them the vocabulary's own special ones."""
        return self.added_tokens_encoder

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        return dict(self._added)

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        return {token.content: number for number, token in self._added.items()}

    # Special tokens.

    @property
    def additional_special_tokens(self) -> list[str]:
        return [token.content for token in self._additional]

    @additional_special_tokens.setter
    def additional_special_tokens(self, tokens: Sequence[str | AddedToken]) -> None:
        self._add_additional(tokens, replace=True)

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        return [self._id(token.content) for token in self._additional]

    @property
    def pad_token_type_id(self) -> int:
        return 0

    @property
    def special_tokens_map(self) -> dict[str, Any]:
        """The special tokens by name; lists hold several."""
        named: dict[str, Any] = {name: token.content for name, token in self._special.items()}
        return {
            **named,
            **({"additional_special_tokens": self.additional_special_tokens} if self._additional else {}),
        }

    @property
    def special_tokens_map_extended(self) -> dict[str, Any]:
        """``special_tokens_map`` with their flags."""
        named: dict[str, Any] = dict(self._special)
        return {
            **named,
            **({"additional_special_tokens": list(self._additional)} if self._additional else {}),
        }

    @property
    def all_special_tokens_extended(self) -> list[AddedToken]:
        tokens = {token.content: token for token in (*self._special.values(), *self._additional)}
        return list(tokens.values())

    @property
    def all_special_tokens(self) -> list[str]:
        return [token.content for token in self.all_special_tokens_extended]

    @property
    def all_special_ids(self) -> list[int]:
        return [self._id(token) for token in self.all_special_tokens]

    def add_special_tokens(
        self,
        special_tokens_dict: Mapping[str, Any],
        replace_additional_special_tokens: bool = True,
    ) -> int:
        """Give tokens a meaning, adding those that the vocabulary lacks.

        Args:
            special_tokens_dict: by name (``cls_token``, …), or a list as ``additional_special_tokens``.
            replace_additional_special_tokens: the list replaces the present one, whose tokens stay added.

        Returns:
            How many tokens are new: the rows that a model's embedding must grow by.

        Raises:
            ConfigError: a name that no special token has, or a value of the wrong kind.
        """
        before = len(self)
        if not isinstance(special_tokens_dict, Mapping):
            raise ConfigError(
                "Special tokens are given by their names.",
                received=f"{special_tokens_dict!r:.80}",
                remedy='Give a dictionary, {"additional_special_tokens": [...]} for tokens without names.',
            )
        for name, value in special_tokens_dict.items():
            if name == "additional_special_tokens":
                self._add_additional(value, replace=replace_additional_special_tokens)
            elif name in SPECIAL_TOKENS:
                setattr(self, name, value)
            else:
                raise ConfigError(
                    "A special token has one of the names " + ", ".join(SPECIAL_TOKENS) + ".",
                    received=f"{name!r}",
                    remedy="Add a token without such a meaning to additional_special_tokens.",
                )
        return len(self) - before

    def add_tokens(
        self, new_tokens: str | AddedToken | Sequence[str | AddedToken], special_tokens: bool = False
    ) -> int:
        """Add tokens that text is searched for before it is split.

        Args:
            new_tokens: one or more. One that the vocabulary has keeps its id.
            special_tokens: they have a meaning, and are left out of decoded text on request.

        Returns:
            How many are new: the rows that a model's embedding must grow by
            (``model.resize_token_embeddings(len(tokenizer))``).
        """
        before = len(self)
        single = isinstance(new_tokens, str) or hasattr(new_tokens, "content")
        given = several("new_tokens", [new_tokens] if single else new_tokens)
        self._add([AddedToken.read(token, special=special_tokens) for token in given])
        return len(self) - before

    def sanitize_special_tokens(self) -> int:
        """The peer's older name for ``add_tokens`` of the special ones; they are always added here."""
        return 0

    # Both ways.

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or those of several; a token that is not known is the unknown one."""
        if tokens is None:
            return None
        if isinstance(tokens, str):
            return self._id(tokens)
        given = list(tokens) if isinstance(tokens, Iterable) else [tokens]
        if not all(isinstance(token, str) for token in given):
            raise DataError(
                "Tokens are strings.", received=f"{tokens!r:.80}", remedy="Give one, or a list of them."
            )
        return [self._id(token) for token in given]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or those of several.

        Raises:
            DataError: an id that no token has, or something that is no id.
        """
        if isinstance(ids, int) or getattr(ids, "shape", None) == ():
            return self._token(int(ids))
        skipped = {i for i, token in self._added.items() if token.special} if skip_special_tokens else set()
        try:
            return [self._token(number) for number in map(index, ids) if number not in skipped]
        except TypeError:
            raise DataError(
                "Ids are whole numbers.",
                received=f"{ids!r:.80}",
                remedy="Give one, or a list of them; rows of ids go to batch_decode.",
            ) from None

    def _convert_id_to_token(self, index: int) -> str:
        """``convert_ids_to_tokens`` of one: what the peer's collator of whole words calls."""
        return self._token(index)

    def with_ids(self, ids: Mapping[str, int], added: Mapping[int, AddedToken]) -> Self:
        """A copy with another vocabulary, which has the special tokens too.

        Args:
            ids: of the vocabulary's own tokens.
            added: tokens beside them, or flags of some of them, by id.
        """
        other = copy(self)
        other._vocab, other._added = dict(ids), dict(sorted(added.items()))
        other._tokens = {number: token for token, number in other._vocab.items()}
        other._all_ids = other.get_vocab()
        other._special, other._additional = dict(self._special), list(self._additional)
        other._vocabulary_changed()
        return other

    # Within.

    def _vocabulary_changed(self) -> None:
        """Whoever looks for tokens in text learns here that there are others."""

    def _id(self, token: str) -> int:
        number = self._all_ids.get(token)
        return self._all_ids[self._special["unk_token"].content] if number is None else number

    def _token(self, number: int) -> str:
        added = self._added.get(number)
        if added is not None:
            return added.content
        try:
            return self._tokens[number]
        except KeyError:
            raise DataError(
                f"An id must be one of the vocabulary's, 0 to {max(*self._tokens, *self._added)}.",
                received=f"{number}",
                remedy="Decode with the tokenizer of the model that the ids come from.",
            ) from None

    def _set_special(self, tokens: Mapping[str, str | AddedToken | None]) -> None:
        if nothing := [n for n in ("unk_token", "cls_token", "sep_token") if tokens.get(n, "") is None]:
            raise ConfigError(
                "A token for unknown words, and those around a text, must be there.",
                received=f"{nothing[0]}=None",
                remedy="Keep it; add_special_tokens=False, of a call, puts nothing around a text.",
            )
        unknown = tokens.get("unk_token")
        if unknown is not None and str(unknown) not in self._vocab:
            # Words are taken apart by the vocabulary itself, so added tokens cannot stand in here.
            raise ConfigError(
                "The token for unknown words must be one of the vocabulary's own.",
                received=f"unk_token={unknown} and {len(self._vocab)} tokens without it",
                remedy="Choose one of them, or the vocabulary that the model was trained with.",
            )
        for name, value in tokens.items():
            if value is None:
                self._special.pop(name, None)
            else:
                self._special[name] = self._as_special(value)
        self._add([token for name in tokens if (token := self._special.get(name))])

    def _add_additional(self, tokens: Sequence[str | AddedToken], *, replace: bool) -> None:
        given = [self._as_special(token) for token in several("additional_special_tokens", tokens)]
        kept = [] if replace else self._additional
        self._additional = list({token.content: token for token in (*kept, *given)}.values())
        self._add(given)

    def _as_special(self, value: str | AddedToken) -> AddedToken:
        """The token, with the flags that it has as a special one where only its text is given."""
        known = self._added.get(self._all_ids.get(str(value), -1))
        if isinstance(value, str) and known is not None and known.special:
            return known
        return replace(AddedToken.read(value, special=True), special=True)

    def _add(self, tokens: Sequence[AddedToken]) -> None:
        """Know these as added: with their own ids where the vocabulary has them, else with the next."""
        with _ADDING:
            free = max(self._all_ids.values()) + 1
            for token in tokens:
                if token.content:
                    number = self._all_ids.setdefault(token.content, free)
                    free = max(free, number + 1)
                    self._added[number] = token
            self._added = dict(sorted(self._added.items()))
            self._vocabulary_changed()


def several(name: str, tokens: Any) -> list[Any]:
    """Tokens that were given in a list.

    Raises:
        ConfigError: one token, or nothing of the kind.
    """
    if isinstance(tokens, str) or not isinstance(tokens, Iterable):
        raise ConfigError(
            f"{name} must be a list of tokens.",
            received=f"{tokens!r:.80}",
            remedy="Put it between brackets.",
        )
    return list(tokens)
