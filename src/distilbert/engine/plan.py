"""What is to be tried to make a folder faster, and on which examples, before anything is computed."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from distilbert.core import rules
from distilbert.core.hub import local_folder
from distilbert.core.machine import kind_of_processor
from distilbert.core.model_folders import open_folder
from distilbert.core.parameters import Head
from distilbert.core.sentence_folders import SentenceModules
from distilbert.core.sentence_texts import longest_text
from distilbert.core.tasks.calibration import Calibration
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.folders import TaskFolder, head_of
from distilbert.core.tasks.hidden_words import HiddenWords
from distilbert.core.tasks.reading import Table, as_examples
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.engine.artefacts import places
from distilbert.engine.candidates import WAYS, without
from distilbert.engine.model import Model
from distilbert.engine.runtimes import runtime_class
from distilbert.engine.trying import Trial
from distilbert.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

#: Examples below which one of them is more than a hundredth.
_FEW = 100


@dataclass(frozen=True)
class Plan:
    """
    Attributes:
        opened: the folder.
        runtimes: that are tried, names in ``WAYS``.
        calibrating: examples by which ranges are set.
        judging: the others, which judge.
    """

    opened: TaskFolder
    runtimes: tuple[str, ...]
    calibrating: Examples
    judging: Examples

    @classmethod
    def of(
        cls,
        model: str | Path,
        data: Table,
        runtimes: Collection[str] | None = None,
        *,
        calibration: int,
        labelled: bool = True,
        seed: int = 0,
    ) -> Self:
        """What ``optimize`` does, given the same.

        Raises:
            CheckpointError: a file is missing or damaged, or the model was never fine-tuned.
            ConfigError: no such runtime.
            DataError: examples of another task, or too few.
            MissingExtraError: a runtime is not installed.
        """
        opened = opened_folder(model)
        if isinstance(opened.task, HiddenWords):
            examples = as_examples(data, task=SequenceClassification.name, labelled=False)
        else:
            examples = as_examples(data, task=opened.task.name, labelled=labelled)
        if len(examples) < 3:
            raise DataError(
                "A model is optimised on at least three examples: some set ranges, the others judge.",
                received=f"{len(examples)} in {examples.source}",
                remedy="Give hundreds: of fewer than a hundred, one that is answered otherwise is too many.",
            )
        rng = np.random.default_rng(rules.integer(0)("seed", seed))
        count = min(rules.integer(1)("calibration", calibration), len(examples) // 3)
        order = rng.permutation(len(examples)).tolist()
        judging = examples.take(sorted(order[count:]))
        if len(judging) < _FEW:
            logger.warning("Only %d examples judge: one of them is more than a hundredth.", len(judging))
        return cls(opened, _chosen(runtimes), examples.take(sorted(order[:count])), judging)

    @property
    def model(self) -> Model:
        return Model.of(self.opened)

    def untried(self) -> list[Trial]:
        """What this machine cannot try, with the reason."""
        every = [(runtime, precision) for runtime in WAYS for precision in WAYS[runtime]]
        reasons = {way: without(*way) for way in every}
        return [Trial(*way, untried=reason) for way, reason in reasons.items() if reason]

    def facts(self) -> dict[str, Any]:
        """The same, for programs."""
        tried = [
            f"{runtime} {precision}"
            for runtime in self.runtimes
            for precision in WAYS[runtime]
            if not without(runtime, precision)
        ]
        return {
            "processor": kind_of_processor(),
            "tried": tried,
            "untried": {trial.name: trial.untried for trial in self.untried()},
            "rows": len(self.judging),
            "calibrated_by": len(self.calibrating),
            "folder": str(next(places(self.model))),
        }


def opened_folder(model: str | Path) -> TaskFolder:
    """What can be optimised: a fine-tuned folder, or a masked language model's.

    Raises:
        CheckpointError: a file is missing or damaged, or the model can neither answer nor guess.
        ConfigError: the folder is another kind of model's.
    """
    folder = local_folder(model)
    if head_of(folder) is not Head.MASKED_LM:
        return TaskFolder.open(folder)
    config, tokenizer = open_folder(folder)
    longest = longest_text(SentenceModules(), config, tokenizer)
    task = HiddenWords(tokenizer.mask_token_id)
    return TaskFolder(folder, folder, config, tokenizer, task, longest, Calibration())


def _chosen(runtimes: Collection[str] | None) -> tuple[str, ...]:
    if runtimes is None:
        found = tuple(runtime for runtime in WAYS if not without(runtime, "fp32"))
        if not found:
            runtime_class("onnx")  # which says what to install
        return found
    if unknown := [name for name in runtimes if name not in WAYS]:
        raise ConfigError(
            f"What is tried is one or more of {', '.join(WAYS)}.",
            received=f"runtimes={', '.join(map(str, unknown))}",
            remedy="Leave it out to try all that are installed.",
        )
    for name in runtimes:
        runtime_class(name)
    return tuple(name for name in WAYS if name in runtimes)
