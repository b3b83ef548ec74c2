"""What learns from running text: the run, its rehearsal and its examination, whatever is learnt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from distilbert.core.data.texts import Source
from distilbert.core.progress import Progress
from distilbert.core.recipe import LanguageModelling
from distilbert.core.training.findings import Finding
from distilbert.core.training.runs import Plan, Run, complete, rehearse
from distilbert.core.training.wing import Job, Wing


class TextTrainer:
    """Learns from running text. Abstract: a final class says in ``_prepare`` what.

    Args:
        recipe: a ``LanguageModelling``, its name, or a file.
        device: as the wing names it.
        progress: told of every stage.
    """

    #: That the job is of.
    wing: ClassVar[Wing]

    def __init__(self, recipe: LanguageModelling | str | Path, device: str, progress: Progress) -> None:
        self.recipe = recipe if isinstance(recipe, LanguageModelling) else LanguageModelling.read(recipe)
        self.device = device
        self.progress = progress

    def run(
        self,
        texts: Source,
        *,
        out: str | Path,
        force: bool = False,
        resume: bool = False,
        budget: float | None = None,
        track: str | None = None,
    ) -> Run:
        """Train, and write the model's folder.

        Args:
            texts: what is read: files, folders, strings or rows, as ``texts_of`` takes them.
            out: the model's folder.
            force: replace a model that stands there, and give up what an interrupted run left.
            resume: go on, bit for bit, with the same run where something interrupted it.
            budget: seconds that the whole may take, in place of the recipe's epochs, steps and tokens.
            track: a tracker that is told of every step: "tensorboard", "mlflow" or "wandb"; what it writes
                stands in ``<out>.tracked``.

        Raises:
            CheckpointError: a model's folder cannot be read.
            ConfigError: models, layers or weights that do not go together.
            DataError: no usable text.
            MissingExtraError: the tracker is not installed.
            OutputError: ``out`` is taken or cannot be written.
            TrainingError: a loss is not finite; the last good checkpoint is named.
        """
        return complete(
            lambda device: self._prepare(texts, device),
            wing=self.wing,
            recipe=self.recipe,
            device=self.device,
            out=out,
            force=force,
            resume=resume,
            budget=budget,
            track=track,
            progress=self.progress,
        )

    def rehearse(self, texts: Source) -> Plan:
        """What ``run`` would take; a few steps are run, and nothing is written."""
        return rehearse(
            lambda device: self._prepare(texts, device),
            wing=self.wing,
            recipe=self.recipe,
            device=self.device,
            progress=self.progress,
        )

    def examine(self, texts: Source) -> Sequence[Finding]:
        """What is likely wrong with this run; nothing is trained, and nothing written."""
        return self._prepare(texts, self.wing.alone(self.device).device).examine()

    def _prepare(self, texts: Source, device: Any) -> Job:
        raise NotImplementedError
