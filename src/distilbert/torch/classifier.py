"""A trained classifier's folder, opened: texts in, logits and answers out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from distilbert.core.checkpoint import file_names, listed, require_encoder, survey
from distilbert.core.data.collate import attention_mask, length_sorted_batches, pad
from distilbert.core.facts import read_facts
from distilbert.core.hub import local_folder
from distilbert.core.parameters import Head, manifest
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks import Answer, SequenceClassification
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.errors import CheckpointError, ConfigError
from distilbert.torch.device import autocast, pick_device
from distilbert.torch.folders import open_folder, sequence_classifier
from distilbert.torch.heads import SequenceClassifier

Numbers = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class TextClassifier:
    """A classifier with its tokenizer, its task, and the length its texts are cut to.

    Attributes:
        model: on its device, in eval mode.
        tokenizer: of the same folder.
        task: the labels, in the order of the logits.
        max_length: in tokens; longer texts are cut, and counted.
        precision: as in a recipe.
    """

    model: SequenceClassifier
    tokenizer: DistilBertTokenizerFast
    task: SequenceClassification
    max_length: int
    precision: str = "fp32"

    @classmethod
    def open(cls, folder: str | Path, *, device: str = "auto", precision: str = "fp32") -> Self:
        """From a fine-tuned BERT or DistilBERT: its folder, or its name on a hub.

        Raises:
            CheckpointError: a file is missing or damaged, or the model was never fine-tuned.
            ConfigError: the folder is another kind of model's.
        """
        folder = local_folder(folder)
        config, tokenizer = open_folder(folder)
        parameters = manifest(config, Head.SEQUENCE_CLASSIFICATION)
        missing = survey(folder, parameters, config).missing
        require_encoder(folder, missing, config, Head.SEQUENCE_CLASSIFICATION)
        if missing:
            raise CheckpointError(
                "Only a fine-tuned folder can classify.",
                received=f"{folder} without {listed(file_names(missing, parameters))}",
                remedy=f"Train it first: distilbert finetune --model {folder} --train DATA --out DIR",
            )
        labels = tuple(config.id2label[i] for i in range(config.num_labels))
        if config.problem_type not in (None, "single_label_classification") or len(set(labels)) < 2:
            raise ConfigError(
                "A classifier here answers with one of at least two labels.",
                received=f"problem_type={config.problem_type}, labels {', '.join(labels)}, in {folder}",
                remedy="Use the model itself: DistilBertForSequenceClassification.from_pretrained(folder).",
            )
        model = sequence_classifier(config)
        model.load(folder, dtype=torch.float32)
        facts = read_facts(folder)
        longest = min(config.max_position_embeddings, tokenizer.model_max_length)
        model.to(pick_device(device)).eval()
        max_length = min(facts.get("max_length", longest), longest)
        return cls(model, tokenizer, SequenceClassification(labels), max_length, precision)

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
            Logits [texts, C], and how many texts were cut to ``max_length``.

        Raises:
            CheckpointError: the model's answer is no number.
            DataError: something that is not a text.
        """
        tokenized = self.tokenizer.encode_texts(texts, max_length=self.max_length)
        rows = tokenized.input_ids
        logits = np.zeros((len(rows), len(self.task.labels)), np.float32)
        done = 0
        device = self.model.device
        with torch.inference_mode(), autocast(device, self.precision):
            for indices in length_sorted_batches(tokenized.lengths, batch_size=batch_size):
                batch = [rows[i] for i in indices]
                input_ids = torch.from_numpy(pad(batch, value=self.tokenizer.pad_token_id))
                mask = torch.from_numpy(attention_mask(batch))
                output = self.model(input_ids.to(device), mask.to(device), return_dict=True)
                logits[indices] = output.logits.float().cpu().numpy()
                done += len(indices)
                progress(stage, done, len(rows), {})
        if not np.isfinite(logits).all():
            raise CheckpointError(
                "A classifier's logits must be finite.",
                received=f"others for text {int(np.argmin(np.isfinite(logits).all(axis=1)))}",
                remedy="Train the model again, with a lower learning rate.",
            )
        return logits, int(np.count_nonzero(tokenized.dropped))

    def ids(
        self, texts: Sequence[str], *, stage: str = "classify", progress: Progress = silent
    ) -> tuple["np.ndarray[Any, np.dtype[np.int64]]", int]:
        """The likeliest label's id for each text, [texts], and how many texts were cut."""
        logits, cut = self.logits(texts, stage=stage, progress=progress)
        return logits.argmax(axis=1), cut

    def answers(self, texts: Sequence[str], *, progress: Progress = silent) -> list[Answer]:
        """An answer for each text. Long texts are cut to ``max_length``; ``logits`` counts them."""
        return self.task.answers(self.logits(texts, progress=progress)[0])
