"""Two vocabularies: which tokens are the same words, and a model's rows for the tokens of another one.

Where a text is the same and its tokens are not, a teacher can still be heard about the tokens that both have.
What counts is what a token stands for, not how a vocabulary spells it: ``Ġsoup`` of byte-level BPE and
``▁soup`` of SentencePiece are ``soup`` behind a space, ``##s`` of WordPiece and ``s`` of the others go on
with a word.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import Head, is_of_vocabulary, manifest
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.weight_files import Arrays
from distilbert.errors import ConfigError

Ids = np.ndarray[Any, np.dtype[np.int64]]

C = TypeVar("C", bound=EncoderConfig)


@dataclass(frozen=True)
class Shared:
    """Which of another vocabulary's tokens are which of the student's.

    That may depend on how a token stands in a text: what stands behind a space, and what does not, are other
    tokens of most vocabularies. Each such way is a kind.

    Attributes:
        same: [kinds, their tokens], the student's id of each token, -1 where it has none.
        size: of the student's vocabulary.
    """

    same: Ids
    size: int

    @cached_property
    def theirs(self) -> Ids:
        """[kinds, student's tokens], one of their ids of each token, -1 where there is none."""
        found = np.full((len(self.same), self.size), -1, np.int64)
        for kind, same in enumerate(self.same):
            ids = np.flatnonzero(same >= 0)[::-1]  # the lowest is written last, and stays
            found[kind, same[ids]] = ids
        return found

    def pairs(self, kind: int) -> tuple[Ids, Ids]:
        """The ids, student's and theirs, of what both have; one of the student's may stand beside several."""
        ids = np.flatnonzero(self.same[kind] >= 0)
        own = self.same[kind, ids]
        order = np.argsort(own, kind="stable")
        return own[order], ids[order]


def shared_tokens(
    student: DistilBertTokenizerFast, vocabulary: Mapping[str, int], content: Mapping[str, Any]
) -> Shared:
    """Which tokens of another tokenizer are which of the student's.

    Tokens that the student's normaliser makes alike, such as ``Soup`` and ``soup`` for one that lower-cases,
    are the same to it.

    Args:
        student: the student's tokenizer.
        vocabulary: the other's ids by token.
        content: what the other's ``tokenizer.json`` holds.

    Raises:
        ConfigError: a tokenizer that is no WordPiece, byte-level BPE or SentencePiece one, or none in common.
    """
    own = student.get_vocab()
    backend = student.backend_tokenizer
    prefix = json.loads(backend.to_str())["model"]["continuing_subword_prefix"]
    normalise = backend.normalizer.normalize_str if backend.normalizer else str
    same = np.full((3, 1 + max(vocabulary.values())), -1, np.int64)
    kind = _kind(content)
    if kind == "wordpiece":
        # Both say by themselves what goes on with a word, so that there is one kind.
        same = same[:1]
        theirs = content["model"].get("continuing_subword_prefix", "##")
        for token, number in vocabulary.items():
            goes_on = token.startswith(theirs) and token != theirs
            before, word = (prefix, token[len(theirs) :]) if goes_on else ("", token)
            found = own.get(before + word)
            if found is None and (plain := normalise(word).strip()):
                found = own.get(before + plain)
            same[0, number] = -1 if found is None else found
    else:
        for word, behind_space, number in _words(vocabulary, content, kind):
            if (plain := normalise(word).strip()) and not _has_space(plain):
                begins, goes_on = own.get(plain, -1), own.get(prefix + plain, -1)
                if behind_space:
                    same[0, number] = begins
                else:
                    same[1:, number] = begins, goes_on
    if not (same >= 0).any():
        raise ConfigError(
            "Two vocabularies must have a token in common, so that one model can be heard by the other.",
            received=f"none of {len(vocabulary)} tokens among {len(own)}",
            remedy="Choose a teacher of the text's language.",
        )
    return Shared(same, 1 + max(own.values()))


def in_vocabulary(
    config: C,
    arrays: Mapping[str, "np.ndarray[Any, Any]"],
    known: Mapping[str, int],
    wanted: Mapping[str, int],
) -> tuple[C, Arrays]:
    """A masked language model's configuration and arrays, with rows for the tokens of another vocabulary.

    Tokens that both have, by their spelling, keep their rows and biases; all others begin as the mean of all
    that there are.

    Args:
        config: the model's.
        arrays: its arrays by key.
        known: its ids by token.
        wanted: the other vocabulary's ids by token.
    """
    size = 1 + max(wanted.values())
    source = np.full(size, -1, np.int64)
    for token, number in wanted.items():
        source[number] = known.get(token, -1)
    old = np.array(sorted(known.values()))
    new = dict(arrays)
    for parameter in manifest(config, Head.MASKED_LM):
        if is_of_vocabulary(parameter) and parameter.key in arrays:
            array = arrays[parameter.key]
            rows = array[source]
            rows[source < 0] = array[old].mean(0, dtype=np.float64).astype(array.dtype)
            new[parameter.key] = rows
    changed = deepcopy(config)
    changed.vocab_size = size
    padding = next((token for token, number in known.items() if number == config.pad_token_id), None)
    changed.pad_token_id = wanted.get(str(padding), 0)
    return changed, new


def _kind(content: Mapping[str, Any]) -> str:
    """How a tokenizer spells: ``wordpiece``, ``bytes`` or ``spaces``."""
    types = set(_types([content.get("pre_tokenizer"), content.get("decoder"), content.get("normalizer")]))
    if "ByteLevel" in types:
        return "bytes"
    if "Metaspace" in types:
        return "spaces"
    model = content.get("model") or {}
    if model.get("type") == "WordPiece":
        return "wordpiece"
    raise ConfigError(
        "Vocabularies are compared where both are WordPiece, byte-level BPE or SentencePiece ones.",
        received=f"a tokenizer of {model.get('type')!r:.40} with {', '.join(sorted(types)) or 'no more'}",
        remedy="Choose another teacher, or fine-tune with this one: finetune --teacher compares labels only.",
    )


def _types(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("type"), str):
            yield part["type"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _types(inner)


def _words(
    vocabulary: Mapping[str, int], content: Mapping[str, Any], kind: str
) -> Iterator[tuple[str, bool, int]]:
    """The word of each token, whether it stands behind a space, and its id; added tokens are left out."""
    added = {token.get("content") for token in content.get("added_tokens") or ()}
    spelled = _from_bytes() if kind == "bytes" else _from_spaces
    for token, number in vocabulary.items():
        text = None if token in added else spelled(token)
        if text and (word := text[text[0] == " " :]) and not _has_space(word):
            yield word, text[0] == " ", number


def _has_space(text: str) -> bool:
    return any(map(str.isspace, text))


def _from_spaces(token: str) -> str:
    return token.replace("\u2581", " ")


def _from_bytes() -> Callable[[str], str | None]:
    """What reads tokens of byte-level BPE (Radford et al. 2019): bytes that show nothing have other signs."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in shown]
    byte_of = {chr(byte): byte for byte in shown} | {chr(0x100 + i): byte for i, byte in enumerate(hidden)}

    def spelled(token: str) -> str | None:
        try:
            return bytes(byte_of[sign] for sign in token).decode()
        except (KeyError, UnicodeDecodeError):  # a token of its own, or a part of a character
            return None

    return spelled


def speaks(theirs: Any, student: Any, vocabulary: Mapping[str, int] | None = None) -> bool:
    """Whether a student's ids mean the same to a teacher.

    Args:
        theirs: the teacher's tokenizer.
        student: the student's.
        vocabulary: the teacher's, where its tokenizer is another library's.
    """
    names = ("cls_token_id", "sep_token_id", "mask_token_id", "unk_token_id")
    alike = all(getattr(theirs, name) == getattr(student, name) for name in names)
    return alike and (vocabulary or theirs.get_vocab()) == student.get_vocab()
