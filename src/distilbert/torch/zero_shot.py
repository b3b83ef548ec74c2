"""An entailment model as a teacher of any classes: asked of each whether a text entails it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from distilbert.core.progress import Progress, silent
from distilbert.core.teachers.entailment import HYPOTHESIS, class_logits, each_class, hypotheses, outcomes
from distilbert.core.teachers.targets import Targets
from distilbert.errors import DataError
from distilbert.torch.foreign_tasks import Opened, open_classifier

Numbers = np.ndarray[Any, np.dtype[np.float32]]

#: Texts whose pairs are made, sorted by length and answered together.
_TEXTS = 128


class ZeroShot:
    """A classifier of pairs, trained to tell whether one text entails another, asked about classes.

    The text comes first and the hypothesis second; of a pair that is too long the text is cut, never the
    hypothesis, and the texts are counted.

    Args:
        model: a classifier one of whose labels is called entailment: its folder, its name on a hub, or open.
            With ``transformers`` it may be one of its families'.
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
        model: str | Path | Opened,
        *,
        hypothesis: str = HYPOTHESIS,
        device: str = "auto",
        precision: str = "fp32",
    ) -> None:
        if isinstance(model, str | Path):
            model = open_classifier(model, device=device, precision=precision)
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
            firsts = [text for text in some for _ in claims]
            rows = self._model.reader.rows(
                firsts, claims * len(some), max_length=self._model.max_length, cut="only_first"
            )
            answers = np.stack(self._model.item_logits(rows, batch_size=batch_size))
            found[start : start + len(some)] = answers.reshape(len(some), len(claims), -1)
            self.cut += int((rows.dropped > 0).reshape(len(some), -1).any(axis=1).sum())
        progress("ask the teacher", len(texts), len(texts), {})
        return found

    def facts(self) -> dict[str, Any]:
        return {"hypothesis": self.hypothesis, "cut_to_max_length": self.cut}

    def account(self) -> dict[str, Any]:
        return {}

    def _refuse_long(self, claims: list[str]) -> None:
        reader = self._model.reader
        room = self._model.max_length - reader.pair_frame.size
        lengths = [len(claim.input_ids) for claim in reader.pieces(claims)]
        if max(lengths) >= room:
            raise DataError(
                "A class must leave room for the text beside it.",
                received=f"{lengths.index(max(lengths)) + 1}. hypothesis of {max(lengths)} tokens, "
                f"and room for {room} of both",
                remedy="Give the class a shorter name, or the hypothesis fewer words.",
            )
