"""Distillation during pre-training: a teacher and text in, a student of half the depth out.

And ``Pretrainer``: the same run without a teacher, which makes teachers and is the control.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from distilbert.core.copies import fingerprint
from distilbert.core.data.corpus import open_corpus
from distilbert.core.hub import local_folder
from distilbert.core.parameters import POSITION_EMBEDDINGS, base_prefix
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import LanguageModelling
from distilbert.core.surgery import choose_layers, cut, require_language_model, student_config
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.torch.folders import masked_language_model, open_folder, open_language_model
from distilbert.torch.heads import MaskedLanguageModel
from distilbert.torch.language_modelling import MaskedWords, Teacher
from distilbert.torch.runs import Job, Plan, Run, complete, rehearse

#: Of so many sequences at most one is held out.
_LEAST_LEARNT = 20


class Distiller:
    """Makes a student of a teacher (Sanh et al. 2019).

    Args:
        teacher: a BERT or DistilBERT with its masked-language-model head: a folder, or its name on a hub.
        layers: how many of its layers the student keeps (evenly spaced), or which.
        recipe: a ``LanguageModelling``, its name, or a file.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every stage.
    """

    def __init__(
        self,
        teacher: str | Path,
        *,
        layers: int | Sequence[int],
        recipe: LanguageModelling | str | Path = "default",
        device: str = "auto",
        progress: Progress = silent,
    ) -> None:
        self.teacher = teacher
        self.layers = layers
        self.recipe = _recipe(recipe)
        self.device = device
        self.progress = progress

    def run(
        self,
        texts: Iterable[str],
        *,
        out: str | Path,
        force: bool = False,
        resume: bool = False,
        budget: float | None = None,
    ) -> Run:
        """Distil, and write the student's folder.

        Args:
            texts: what both models read.
            out: the student's folder.
            force: replace a model that stands there, and give up what an interrupted run left.
            resume: go on, bit for bit, with the same run where something interrupted it.
            budget: seconds that the whole may take, in place of the recipe's epochs, steps and tokens.

        Raises:
            CheckpointError: the teacher's folder cannot be read.
            ConfigError: a teacher, layers or weights that do not go together.
            DataError: no usable text.
            OutputError: ``out`` is taken or cannot be written.
            TrainingError: a loss is not finite; the last good checkpoint is named.
        """
        return complete(
            lambda device: self._prepare(texts, device),
            recipe=self.recipe,
            device=self.device,
            out=out,
            force=force,
            resume=resume,
            budget=budget,
            progress=self.progress,
        )

    def rehearse(self, texts: Iterable[str]) -> Plan:
        """What ``run`` would take; a few steps are run, and nothing is written."""
        return rehearse(
            lambda device: self._prepare(texts, device),
            recipe=self.recipe,
            device=self.device,
            progress=self.progress,
        )

    def _prepare(self, texts: Iterable[str], device: torch.device) -> Job:
        folder = local_folder(self.teacher)
        config, tokenizer = open_folder(folder)
        kept = self.layers
        kept = choose_layers(kept, of=config.n_layers) if isinstance(kept, int) else tuple(kept)
        teacher, missing = open_language_model(folder, config, device=device)
        require_language_model(folder, missing, config)
        student = masked_language_model(student_config(config, layers=kept))
        student.assign(cut(config, teacher.arrays(), kept))
        if self.recipe.freeze_positions:
            key = base_prefix(student.config) + POSITION_EMBEDDINGS
            student.get_parameter(key).requires_grad_(False)
        facts = {
            "made_by": "distill",
            "teacher": {
                "model_type": config.model_type,
                "n_layers": config.n_layers,
                "weights": fingerprint(teacher.arrays()),
            },
            "teacher_layers": list(kept),
        }
        student.to(device)
        return _job("distil", student, teacher, tokenizer, texts, self.recipe, facts, self.progress)


class Pretrainer:
    """Teaches a model to tell hidden words of a text; gives it the head for that where it has none.

    Args:
        model: a BERT or DistilBERT: a folder, or its name on a hub.
        recipe: a ``LanguageModelling``, its name, or a file; what it says of a teacher is not used.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every stage.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        recipe: LanguageModelling | str | Path = "adapt",
        device: str = "auto",
        progress: Progress = silent,
    ) -> None:
        self.model = model
        self.recipe = _recipe(recipe)
        self.device = device
        self.progress = progress

    def run(
        self,
        texts: Iterable[str],
        *,
        out: str | Path,
        force: bool = False,
        resume: bool = False,
        budget: float | None = None,
    ) -> Run:
        """Train, and write the model's folder. Arguments and errors are ``Distiller.run``'s."""
        return complete(
            lambda device: self._prepare(texts, device),
            recipe=self.recipe,
            device=self.device,
            out=out,
            force=force,
            resume=resume,
            budget=budget,
            progress=self.progress,
        )

    def rehearse(self, texts: Iterable[str]) -> Plan:
        """What ``run`` would take; a few steps are run, and nothing is written."""
        return rehearse(
            lambda device: self._prepare(texts, device),
            recipe=self.recipe,
            device=self.device,
            progress=self.progress,
        )

    def _prepare(self, texts: Iterable[str], device: torch.device) -> Job:
        folder = local_folder(self.model)
        config, tokenizer = open_folder(folder)
        model, missing = open_language_model(folder, config, device=device)
        facts = {"made_by": "pretrain", "new_weights": list(missing)}
        stage = "learn hidden words"
        job = _job(stage, model, None, tokenizer, texts, self.recipe, facts, self.progress)
        return replace(job, new_weights=missing)


def _job(
    stage: str,
    model: MaskedLanguageModel,
    teacher: MaskedLanguageModel | None,
    tokenizer: DistilBertTokenizerFast,
    texts: Iterable[str],
    recipe: LanguageModelling,
    facts: dict[str, Any],
    progress: Progress,
) -> Job:
    data = open_corpus(
        texts,
        tokenizer,
        max_length=min(recipe.max_length, model.config.max_position_embeddings),
        min_length=recipe.min_length,
        progress=progress,
    )
    held_out = min(recipe.held_out, len(data) // _LEAST_LEARNT)
    teachers = [] if teacher is None else [Teacher(teacher)]
    return Job(
        stage,
        model,
        tokenizer,
        MaskedWords(model, teachers, data, tokenizer, recipe, held_out=held_out),
        recipe,
        recipe.total_steps(len(data) - held_out, tokens=int(data.lengths.sum())),
        facts={**facts, "text": data.facts()},
    )


def _recipe(recipe: LanguageModelling | str | Path) -> LanguageModelling:
    return recipe if isinstance(recipe, LanguageModelling) else LanguageModelling.read(recipe)
