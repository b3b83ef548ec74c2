"""Tokens with a meaning to the model, as attributes of what knows them."""

from typing import Any

#: Names of the tokens with a meaning, and the published ones of them.
SPECIAL_TOKENS: dict[str, str | None] = {
    "bos_token": None,
    "eos_token": None,
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


class SpecialToken:
    """``cls_token`` and its kin: the token's text, or None; setting it makes it special."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, tokens: Any, owner: type | None = None) -> Any:
        if tokens is None:
            return self
        token = tokens._special.get(self._name)
        return None if token is None else token.content

    def __set__(self, tokens: Any, value: Any) -> None:
        tokens._set_special({self._name: value})


class SpecialTokenId:
    """``cls_token_id`` and its kin: the token's id, or None; setting it names the token of that id."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name.removesuffix("_id")

    def __get__(self, tokens: Any, owner: type | None = None) -> Any:
        if tokens is None:
            return self
        token = tokens._special.get(self._name)
        return None if token is None else tokens.convert_tokens_to_ids(token.content)

    def __set__(self, tokens: Any, value: int | None) -> None:
        setattr(tokens, self._name, None if value is None else tokens.convert_ids_to_tokens(value))
