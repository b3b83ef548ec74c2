"""A fine-tuned folder, opened: examples in, logits and answers out, whatever its task."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.answering import Answerer
from distilbert.core.tasks.folders import TaskFolder
from distilbert.keras.answering import logits_of_items, new_model
from distilbert.keras.device import device_of, on, pick_device, policy_of
from distilbert.keras.folders import fill
from distilbert.keras.pretrained import PreTrainedModel


@dataclass(frozen=True)
class Predictor(Answerer):
    """A fine-tuned model with its tokenizer, its task, and the length its texts are cut to.

    Attributes:
        model: its parameters on their device.
        tokenizer: of the same folder.
        task: what it was trained for.
        max_length: in tokens; what becomes of longer texts is the task's to say.
        precision: as in a recipe.
        calibration: what was fitted on data that it did not learn from; answers follow it, logits do not.
    """

    model: PreTrainedModel

    @classmethod
    def open(cls, folder: str | Path, *, device: str = "auto", precision: str = "fp32") -> Self:
        """From a fine-tuned BERT or DistilBERT: its folder, or its name on a hub.

        Raises:
            CheckpointError: a file is missing or damaged, or the model was never fine-tuned.
            ConfigError: the folder is another kind of model's.
        """
        place, opened = pick_device(device), TaskFolder.open(folder)
        with on(place):
            model = new_model(opened.task, opened.config, policy=policy_of(place, precision))
            fill(model, opened.weights)
        return cls(model, opened.tokenizer, opened.task, opened.max_length, precision, opened.calibration)

    def item_logits(
        self, rows: TokenRows, *, batch_size: int = 32, stage: str = "predict", progress: Progress = silent
    ) -> list[Array]:
        with self.model.computing_in(policy_of(device_of(self.model), self.precision)):
            return logits_of_items(
                self.task,
                self.model,
                rows,
                self.reader.pad_token_id,
                batch_size=batch_size,
                stage=stage,
                progress=progress,
            )
