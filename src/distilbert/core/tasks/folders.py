"""A fine-tuned folder, as whoever answers with it opens it: everything but the weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from distilbert.core.checkpoint import file_names, listed, require_encoder, survey
from distilbert.core.config import EncoderConfig, read_config
from distilbert.core.facts import read_facts
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.parameters import Head, parameters_of
from distilbert.core.sentence_folders import SentenceModules, encoder_folder, has_modules
from distilbert.core.sentence_texts import longest_text
from distilbert.core.tasks.calibration import Calibration
from distilbert.core.tasks.reading import task_of_folder
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
from distilbert.core.tasks.task import Task
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.errors import CheckpointError

#: What each head is for, in a sentence about folders that lack it.
_DOES = {
    Head.SEQUENCE_CLASSIFICATION: "classify",
    Head.MULTIPLE_CHOICE: "choose",
    Head.TOKEN_CLASSIFICATION: "tag words",
    Head.QUESTION_ANSWERING: "find answers",
    Head.NONE: "make vectors",
}


@dataclass(frozen=True)
class TaskFolder:
    """What a folder says of its model.

    Attributes:
        folder: on this machine.
        weights: where its encoder is, and its head: the same, or a folder in it.
        config: the model's sizes.
        tokenizer: of the same folder.
        task: what it was trained for, with its thresholds.
        max_length: in tokens; what becomes of longer texts is the task's to say.
        calibration: what was fitted on data that it did not learn from; answers follow it, logits do not.
    """

    folder: Path
    weights: Path
    config: EncoderConfig
    tokenizer: DistilBertTokenizerFast
    task: Any
    max_length: int
    calibration: Calibration

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """From a fine-tuned BERT or DistilBERT: its folder, or its name on a hub.

        Raises:
            CheckpointError: a file is missing or damaged, or the model was never fine-tuned.
            ConfigError: the folder is another kind of model's.
        """
        folder = local_folder(folder)
        place = encoder_folder(folder)
        config, tokenizer = open_folder(place)
        facts = read_facts(folder)
        task: Task | None = None
        head = Head.SEQUENCE_CLASSIFICATION
        if "task" in facts or has_modules(folder) or answers_a_task(config):
            task = task_of_folder(config, facts, folder=folder)
            head = task.head
        parameters = parameters_of(head, config)
        missing = survey(place, parameters, config).missing
        require_encoder(folder, missing, config, head)
        if missing or task is None:
            without = listed(file_names(missing, parameters)) if missing else "a task"
            raise CheckpointError(
                f"Only a fine-tuned folder can {_DOES[head]}.",
                received=f"{folder} without {without}",
                remedy=f"Train it first: distilbert finetune --model {folder} --train DATA --out DIR",
            )
        modules = task.modules if isinstance(task, SentenceEmbedding) else SentenceModules()
        longest = longest_text(modules, config, tokenizer)
        longest = min(facts.get("max_length", longest), longest)
        calibration = Calibration.from_facts(facts.get("calibration", {}))
        return cls(folder, place, config, tokenizer, calibration.task(task), longest, calibration)


def head_of(folder: Path) -> Head:
    """The head of the model that a folder holds: a task's, a language model's, or none.

    Raises:
        CheckpointError: a file is missing or damaged.
        ConfigError: the folder is another kind of model's.
    """
    place = encoder_folder(folder)
    config, facts = read_config(place), read_facts(folder)
    if has_modules(folder):
        return Head.NONE
    if "task" in facts or answers_a_task(config):
        head: Head = task_of_folder(config, facts, folder=folder).head
        return head
    missing = survey(place, parameters_of(Head.MASKED_LM, config), config).missing
    return Head.NONE if missing else Head.MASKED_LM


def answers_a_task(config: EncoderConfig) -> bool:
    """Whether a configuration is of a model with a head that was fine-tuned, so far as it says."""
    return not any("MaskedLM" in name or name.endswith("Model") for name in config.architectures or ())
