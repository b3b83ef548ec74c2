"""Classifiers asked about pairs of texts, of which the first is cut where both do not fit."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from distilbert.core.config import BertConfig
from distilbert.core.data.collate import attention_mask, length_sorted_batches, pad
from distilbert.torch.classifier import TextClassifier
from distilbert.torch.device import autocast
from distilbert.torch.foreign import ForeignClassifier

Numbers = np.ndarray[Any, np.dtype[np.float32]]
Marks = np.ndarray[Any, np.dtype[np.bool_]]


class Pairs(Protocol):
    """Whoever answers about pairs."""

    @property
    def room(self) -> int:
        """Tokens that both texts may have together."""

    def length(self, text: str) -> int:
        """Tokens of a text, special ones not counted."""

    def logits(self, firsts: list[str], seconds: list[str], *, batch_size: int) -> tuple[Numbers, Marks]:
        """Logits [pairs, C], and whether each first text was cut, [pairs]."""


def pairs_of(model: TextClassifier | ForeignClassifier) -> Pairs:
    """An open classifier, asked so."""
    return _Own(model) if isinstance(model, TextClassifier) else _Foreign(model)


class _Own:
    """A BERT, which is told which text each token is of, or a DistilBERT, which is not."""

    def __init__(self, model: TextClassifier) -> None:
        self._opened = model

    @property
    def room(self) -> int:
        return self._opened.max_length - 3  # [CLS] and two [SEP]

    def length(self, text: str) -> int:
        return len(self._opened.tokenizer(text, add_special_tokens=False)["input_ids"])

    def logits(self, firsts: list[str], seconds: list[str], *, batch_size: int) -> tuple[Numbers, Marks]:
        tokenizer, model = self._opened.tokenizer, self._opened.model
        options: dict[str, Any] = {"truncation": "only_first", "max_length": self._opened.max_length}
        encoded = tokenizer(firsts, seconds, return_token_type_ids=True, **options)
        rows, types = (
            [np.array(ids, np.int32) for ids in encoded[name]] for name in ("input_ids", "token_type_ids")
        )
        found = np.zeros((len(rows), len(self._opened.task.labels)), np.float32)
        for indices in _batches(self._opened, rows, batch_size):
            batch = [rows[i] for i in indices]
            given = {
                "input_ids": pad(batch, value=tokenizer.pad_token_id),
                "attention_mask": attention_mask(batch),
            }
            if isinstance(model.config, BertConfig):
                given["token_type_ids"] = pad([types[i] for i in indices], value=0)
            tensors = {name: torch.from_numpy(array).to(model.device) for name, array in given.items()}
            found[indices] = model(**tensors, return_dict=True).logits.float().cpu().numpy()
        return found, np.array(encoded.dropped) > 0


class _Foreign:
    """A model of ``transformers``, given whatever its tokenizer gives."""

    def __init__(self, model: ForeignClassifier) -> None:
        self._opened = model

    @property
    def room(self) -> int:
        tokenizer = self._opened.tokenizer
        return tokenizer.max_length - int(tokenizer.backend.num_special_tokens_to_add(pair=True))

    def length(self, text: str) -> int:
        return len(self._opened.tokenizer.backend(text, add_special_tokens=False)["input_ids"])

    def logits(self, firsts: list[str], seconds: list[str], *, batch_size: int) -> tuple[Numbers, Marks]:
        tokenizer, model = self._opened.tokenizer, self._opened.model
        longest = tokenizer.max_length
        encoded = tokenizer.backend(firsts, seconds, truncation="only_first", max_length=longest)
        whole = tokenizer.backend(firsts, seconds, truncation=False, verbose=False)["input_ids"]
        rows = encoded["input_ids"]
        found = np.zeros((len(rows), len(self._opened.task.labels)), np.float32)
        for indices in _batches(self._opened, rows, batch_size):
            values = {"input_ids": tokenizer.backend.pad_token_id or 0}
            given = {
                name: pad([np.array(encoded[name][i], np.int32) for i in indices], value=values.get(name, 0))
                for name in encoded
            }
            tensors = {name: torch.from_numpy(array).to(model.device) for name, array in given.items()}
            found[indices] = model(**tensors, return_dict=True).logits.float().cpu().numpy()
        return found, np.array([len(all_of) > len(row) for all_of, row in zip(whole, rows, strict=True)])


def _batches(
    opened: TextClassifier | ForeignClassifier, rows: Sequence[Any], batch_size: int
) -> Iterator["np.ndarray[Any, np.dtype[np.int64]]"]:
    """Indices of rows, batch by batch; what is computed meanwhile is in the model's precision."""
    lengths = np.array([len(row) for row in rows], np.int64)
    with torch.inference_mode(), autocast(opened.model.device, opened.precision):
        yield from length_sorted_batches(lengths, batch_size=batch_size)
