"""A trained classifier's folder, opened: texts in, logits and answers out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from distilbert.core.progress import Progress, silent
from distilbert.core.tasks import Answer, Examples, SequenceClassification
from distilbert.core.tasks.abstaining import check_abstaining, withheld
from distilbert.core.tasks.whole_texts import refuse_single
from distilbert.errors import ConfigError
from distilbert.torch.predictor import Predictor

Numbers = np.ndarray[Any, np.dtype[np.float32]]


class TextClassifier(Predictor):
    """A classifier of single texts with its tokenizer, its task, and the length its texts are cut to.

    Attributes:
        model: on its device, in eval mode.
        tokenizer: of the same folder.
        task: the labels, in the order of the logits.
        max_length: in tokens; longer texts are cut, and counted.
        precision: as in a recipe.
    """

    @classmethod
    def open(cls, folder: str | Path, *, device: str = "auto", precision: str = "fp32") -> Self:
        """From a fine-tuned BERT or DistilBERT: its folder, or its name on a hub.

        Raises:
            CheckpointError: a file is missing or damaged, or the model was never fine-tuned.
            ConfigError: the folder is another kind of model's.
        """
        opened = super().open(folder, device=device, precision=precision)
        if not isinstance(opened.task, SequenceClassification):
            raise ConfigError(
                "A TextClassifier answers texts with one label each.",
                received=f"a model for {opened.task.name}, in {folder}",
                remedy="Use Predictor.open(folder).answers(rows).",
            )
        return opened

    def logits(
        self,
        texts: Sequence[str],
        *,
        batch_size: int = 32,
        stage: str = "classify",
        progress: Progress = silent,
    ) -> tuple[Numbers, int]:
        """
        Args:
            texts: any number of them.
            batch_size: texts in memory at once.
            stage: the name under which progress is reported.
            progress: told of every batch.

        Returns:
            Logits [texts, C], as the model gives them, and how many texts were cut to ``max_length``.

        Raises:
            CheckpointError: the model's answer is no number.
            DataError: something that is not a text, or a model that was trained on pairs.
        """
        refuse_single(Examples(self.task.name, {"text": list(texts)}, "the texts"), pair=self.task.pair)
        rows = self.reader.rows(texts, max_length=self.max_length)
        found = self.item_logits(rows, batch_size=batch_size, stage=stage, progress=progress)
        logits = np.array(found, np.float32).reshape(len(rows), len(self.task.labels))
        return logits, int(np.count_nonzero(rows.dropped))

    def ids(
        self, texts: Sequence[str], *, stage: str = "classify", progress: Progress = silent
    ) -> tuple["np.ndarray[Any, np.dtype[np.int64]]", int]:
        """The likeliest label's id for each text, [texts], and how many texts were cut."""
        logits, cut = self.logits(texts, stage=stage, progress=progress)
        return logits.argmax(axis=1), cut

    def answers(  # type: ignore[override]  # texts are this one's only rows
        self, texts: Sequence[str], *, abstain_below: float | None = None, progress: Progress = silent
    ) -> list[Answer]:
        """An answer for each text; one that is less likely than ``abstain_below`` is "unsure".

        Long texts are cut to ``max_length``; ``logits`` counts them.
        """
        check_abstaining(self.task, abstain_below)
        logits = self.calibration.applied(list(self.logits(texts, progress=progress)[0]))
        answers: list[Answer] = self.task.answers(logits)
        return list(cast(Any, withheld(answers, abstain_below)))
