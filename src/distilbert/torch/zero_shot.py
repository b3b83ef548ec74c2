"""An entailment model as a teacher of any classes: asked of each whether a text entails it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from distilbert.core.config import BertConfig
from distilbert.core.data.collate import attention_mask, length_sorted_batches, pad
from distilbert.core.progress import Progress, silent
from distilbert.core.teachers.entailment import HYPOTHESIS, class_logits, each_class, hypotheses, outcomes
from distilbert.core.teachers.targets import Targets
from distilbert.errors import CheckpointError, DataError
from distilbert.torch.classifier import TextClassifier
from distilbert.torch.device import autocast

Numbers = np.ndarray[Any, np.dtype[np.float32]]

#: Texts whose pairs are made, sorted by length and answered together.
_TEXTS = 128

#: [CLS] and the two [SEP] of a pair.
_SPECIAL = 3


class ZeroShot:
    """A classifier of pairs, trained to tell whether one text entails another, asked about classes.

    The text comes first and the hypothesis second; of a pair that is too long the text is cut, never the
    hypothesis, and the texts are counted.

    Args:
        model: a fine-tuned BERT or DistilBERT, one of whose labels is called entailment: its folder, its name
            on a hub, or open.
        hypothesis: a sentence with ``{}`` in place of the class.
        device, precision: where and how it computes.

    Raises:
        CheckpointError: as ``TextClassifier.open``.
        ConfigError: no label, or several, are called entailment.
    """

    kind: ClassVar[str] = "entailment model"
    paid: ClassVar[bool] = False

    def __init__(
        self,
        model: str | Path | TextClassifier,
        *,
        hypothesis: str = HYPOTHESIS,
        device: str = "auto",
        precision: str = "fp32",
    ) -> None:
        if not isinstance(model, TextClassifier):
            model = TextClassifier.open(model, device=device, precision=precision)
        self._model = model
        self._outcomes = outcomes(dict(enumerate(model.task.labels)))
        self.hypothesis = hypothesis
        self.cut = 0
        hypotheses(hypothesis, ["a"])

    def scores(
        self,
        texts: Sequence[str],
        classes: Sequence[str],
        *,
        several: bool = False,
        progress: Progress = silent,
    ) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """A probability for each class, [texts, C].

        Args:
            texts: any number of them.
            classes: their names.
            several: any number of classes may hold, each on its own; else one holds, and they sum to 1. Of
                one class alone the first is meant.
            progress: told of every batch.

        Raises:
            ConfigError: classes that are none, or a model that does not tell contradictions.
            DataError: something that is not a text, or a class without room for a text beside it.
        """
        found = self.logits(texts, classes, progress=progress)
        if several or len(classes) == 1:
            return each_class(found, self._outcomes)
        return Targets.all_known(class_logits(found, self._outcomes)).probabilities

    def targets(self, texts: Sequence[str], labels: Sequence[str], *, progress: Progress) -> Targets:
        """Which one class holds, after ``scores``."""
        return Targets.all_known(class_logits(self.logits(texts, labels, progress=progress), self._outcomes))

    def logits(
        self,
        texts: Sequence[str],
        classes: Sequence[str],
        *,
        batch_size: int = 32,
        progress: Progress = silent,
    ) -> Numbers:
        """The model's outputs for each text and class, [texts, C, outputs]; ``cut`` counts the texts cut."""
        claims = hypotheses(self.hypothesis, classes)
        self._refuse_long(claims)
        found = np.zeros((len(texts), len(claims), len(self._model.task.labels)), np.float32)
        self.cut = 0
        for start in range(0, len(texts), _TEXTS):
            progress("ask the teacher", start, len(texts), {})
            some = texts[start : start + _TEXTS]
            answers, cut = self._pairs([(text, claim) for text in some for claim in claims], batch_size)
            found[start : start + len(some)] = answers.reshape(len(some), len(claims), -1)
            self.cut += int(np.count_nonzero(cut.reshape(len(some), -1).any(axis=1)))
        progress("ask the teacher", len(texts), len(texts), {})
        if not np.isfinite(found).all():
            raise CheckpointError(
                "An entailment model's logits must be finite.",
                received="others",
                remedy="Train the model again, with a lower learning rate.",
            )
        return found

    def facts(self) -> dict[str, Any]:
        return {"hypothesis": self.hypothesis, "cut_to_max_length": self.cut}

    def account(self) -> dict[str, Any]:
        return {}

    def _pairs(self, pairs: list[tuple[str, str]], batch_size: int) -> tuple[Numbers, "np.ndarray[Any, Any]"]:
        """Outputs of pairs, [pairs, outputs], and how many tokens each lacks of its text."""
        texts, claims = (list(side) for side in zip(*pairs, strict=True))
        encoded = self._model.tokenizer(
            texts,
            claims,
            truncation="only_first",
            max_length=self._model.max_length,
            return_token_type_ids=True,
        )
        rows = [np.array(ids, np.int32) for ids in encoded["input_ids"]]
        types = [np.array(ids, np.int32) for ids in encoded["token_type_ids"]]
        model = self._model.model
        typed = isinstance(model.config, BertConfig)
        lengths = np.array([len(row) for row in rows], np.int64)
        found = np.zeros((len(rows), len(self._model.task.labels)), np.float32)
        with torch.inference_mode(), autocast(model.device, self._model.precision):
            for indices in length_sorted_batches(lengths, batch_size=batch_size):
                batch = [rows[i] for i in indices]
                given = {
                    "input_ids": pad(batch, value=self._model.tokenizer.pad_token_id),
                    "attention_mask": attention_mask(batch),
                }
                if typed:
                    given["token_type_ids"] = pad([types[i] for i in indices], value=0)
                tensors = {name: torch.from_numpy(array).to(model.device) for name, array in given.items()}
                found[indices] = model(**tensors, return_dict=True).logits.float().cpu().numpy()
        return found, np.array(encoded.dropped)

    def _refuse_long(self, claims: list[str]) -> None:
        room = self._model.max_length - _SPECIAL
        lengths = [len(ids) for ids in self._model.tokenizer(claims, add_special_tokens=False)["input_ids"]]
        if max(lengths) >= room:
            raise DataError(
                "A class must leave room for the text beside it.",
                received=f"{lengths.index(max(lengths)) + 1}. hypothesis of {max(lengths)} tokens, "
                f"and room for {room} of both",
                remedy="Give the class a shorter name, or the hypothesis fewer words.",
            )
